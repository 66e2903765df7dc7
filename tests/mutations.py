"""Mutations of files that know the format: values swapped by place, cells, headers, members, and bytes of any file."""

import csv
import io
import json
import struct
import zipfile

HUGE = [
    "9" * 30,
    "9" * 400,
    "-1",
    "1e308",
    "1e999",
    "nan",
    "inf",
    "-0.0",
    "0",
    "",
    "1_0",
    "٣",
    "x" * 200_000,
    "\x1b[2J",
]
VALUES = [
    None, True, -1, 0, 1, 2**63, 10**400, -1e308, 1e308, 0.5, "", "x", "\x1b]0;t\x07", "\u202e", "<b>", "=1+1",
    [], {}, [[]], [None], {"a": {}}, {"": 1}, "9" * 400, "\udc80", ["x"] * 50, [0] * 50,
]  # fmt: skip
RAW = ["NaN", "Infinity", "1e999", "9" * 5000, "[" * 100_000, '{"a":' * 50_000, "\0", "'", "--1", "01", '"\\ud800"']


def of_bytes(rng, content):
    """Any file: cut, flipped, doubled, filled, in another encoding."""
    content = bytearray(content)
    place = rng.randrange(len(content) + 1)
    length = rng.choice([1, 2, 4, 16, 300])
    match rng.randrange(9):
        case 0:
            del content[place:]
        case 1:
            for _ in range(length):
                if content:
                    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        case 2:
            del content[place : place + length]
        case 3:
            content[place:place] = content[place : place + length] * rng.choice([1, 3, 50])
        case 4:
            content[place : place + length] = bytes([rng.choice([0, 0xFF, 0x80, 0x7F])]) * length
        case 5:
            content[place:place] = rng.choice([b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n\n", b"(" * 3000])
        case 6:
            content = bytearray(bytes(content).decode("latin1").encode("utf-16"))
        case 7:
            content[place : place + 4] = struct.pack("<I", rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1]))
        case 8:
            content = content[place:] + content[:place]
    return bytes(content)


def _places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*path, key))


def of_json(rng, content):
    """Values by their place: another type, a huge number, deep nests, keys that are missing, unknown or there twice."""
    values = json.loads(content)
    path = rng.choice(list(_places(values)))
    if not path:
        return json.dumps(rng.choice(VALUES)).encode() if rng.random() < 0.5 else rng.choice(RAW).encode()
    owner = values
    for key in path[:-1]:
        owner = owner[key]
    match rng.randrange(6):
        case 0 | 1:
            owner[path[-1]] = rng.choice(VALUES)
        case 2:
            del owner[path[-1]]
        case 3:
            if isinstance(owner, dict):
                owner[rng.choice(["surprise", "", "\0", "x" * 5000])] = rng.choice(VALUES)
            else:
                owner.extend(owner * rng.choice([1, 20]))
        case 4:
            mark = "MARK-OF-THE-TEST"
            owner[path[-1]] = mark
            return json.dumps(values).replace(f'"{mark}"', rng.choice(RAW)).encode("utf-8", "surrogatepass")
        case 5:
            if isinstance(owner, dict):
                key = json.dumps(path[-1])
                return json.dumps(values).replace(f"{key}:", f"{key}: 1, {key}:", 1).encode()
            rng.shuffle(owner)
    return json.dumps(values).encode("utf-8", "surrogatepass")


def of_csv(rng, content):
    """Cells, rows and columns: huge, of other types, missing, doubled, out of order."""
    rows = list(csv.reader(io.StringIO(content.decode())))
    row = rng.randrange(len(rows))
    column = rng.randrange(len(rows[0]))
    match rng.randrange(6):
        case 0 | 1:
            rows[row][column] = rng.choice([*HUGE, "\0", '"', "a,b", "\n"])
        case 2:
            del rows[row][column]
        case 3:
            del rows[row]
        case 4:
            rows.insert(row, list(rows[rng.randrange(len(rows))]))
        case 5:
            for each in rows:
                each.insert(column, each[rng.randrange(len(each))])
    out = io.StringIO()
    csv.writer(out, quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerows(rows)
    return out.getvalue().encode()


def of_toml(rng, content):
    """Lines and values of settings."""
    lines = content.decode().splitlines()
    place = rng.choice([number for number, line in enumerate(lines) if "=" in line])
    name = lines[place].partition("=")[0]
    match rng.randrange(4):
        case 0 | 1:
            pool = [
                *HUGE[:12],
                "[" * 3000,
                "{a=" * 3000,
                "1979-05-27",
                '"x"',
                "[]",
                "true",
                "{}",
                "0x7fffffffffffffffff",
            ]
            lines[place] = f"{name}= {rng.choice(pool)}"
        case 2:
            lines.insert(place, lines[rng.randrange(len(lines))])
        case 3:
            lines[place] = f"{rng.choice(['surprise', 'a.b.c', name.strip() + '.x', '[a]', '[[a]]'])} = 1"
    return "\n".join(lines).encode()


def _header(descr, shape, fortran="False"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


_HEADERS = [
    "(" * 5000,
    "-" * 9000 + "1",
    "{'descr': '''abc",
    "{}",
    "[]",
    "",
    _header("'<f4'", "(" + "9" * 5000 + ",)"),
    _header("'<f4'", "(1000000000000, 28)"),
    _header("'<f4'", "(9223372036854775807, 28)"),
    _header("'<f4'", "(-1, 28)"),
    _header("'<f4'", "(True,)"),
    _header("'<f4'", "3", fortran="7"),
    _header("'|V2147483647'", "(1,)"),
    _header("'|O'", "(1,)"),
    _header("'<U999999999'", "(1,)"),
    _header("'m8[s]'", "(1,)"),
    _header("[('a'," * 900 + "'<f4'" + ")]" * 900, "(1,)"),
]


def of_npz(rng, content):
    """Members, headers of arrays, and fields of the archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    match rng.randrange(5):
        case 0:
            header = rng.choice(_HEADERS).encode("latin1") + b"\n"
            version = bytes([rng.choice([1, 1, 2, 3, 9]), 0])
            length = struct.pack("<H" if version[0] == 1 else "<I", min(len(header), 65535))
            members[name] = b"\x93NUMPY" + version + length + header + members[name][128:]
        case 1:
            members[name] = of_bytes(rng, members[name])
        case 2:
            members.pop(name)
        case 3:
            members[name] = members[rng.choice(list(members))]
        case 4:
            pass
    out = io.BytesIO()
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
    with zipfile.ZipFile(out, "w", method) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    made = bytearray(out.getvalue())
    if rng.random() < 0.5:  # a field of a member's entry: flags, method, version, sizes
        mark, first = rng.choice([(b"PK\x01\x02", 4), (b"PK\x03\x04", 4), (b"PK\x05\x06", 4)])
        place = made.find(mark)
        field = place + first + 2 * rng.randrange(9)
        made[field : field + 2] = struct.pack("<H", rng.choice([0, 1, 8, 9, 12, 14, 99, 65535]))
    return bytes(made)


def of_wav(rng, content):
    """Fields of the header."""
    made = bytearray(content)
    field, width = rng.choice([(4, 4), (16, 4), (20, 2), (22, 2), (24, 4), (28, 4), (32, 2), (34, 2), (40, 4)])
    value = rng.choice([0, 1, 7, 999, 15_999, 65_535, 400_001, 2**31, 2**32 - 1]) & ((1 << 8 * width) - 1)
    made[field : field + width] = value.to_bytes(width, "little")
    return bytes(made)


def of_tar(rng, content):
    """Fields of a member's header, its checksum made right again."""
    made = bytearray(content)
    field, values = rng.choice(
        [
            (124, [b"-1         \0", b"\xff" * 12, b"\x80" + b"\x7f" * 11, b"77777777777\0", b"0" * 12]),
            (136, [b"zzzzzzzzzzz\0", b"\xff" * 12]),
            (156, [b"1", b"2", b"3", b"5", b"6", b"L", b"K", b"x", b"g", b"S"]),
            (0, [b"../../x.wav\0", b"/etc/x.wav\0", b"\xff\xfe.wav\0", b"\0" * 20, b"\x1b[2J.wav\0"]),
        ]
    )
    value = rng.choice(values)
    made[field : field + len(value)] = value
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % (sum(made[:512]) & 0o777777)
    return bytes(made)

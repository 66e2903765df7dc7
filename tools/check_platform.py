"""Says in one line whether this interpreter and machine can run the federated side, before anything is installed.

Runs on any Python (2.7 included), since its very purpose is to be started by the wrong one.
"""

import platform
import sys

WHEELS = "TensorFlow Federated 0.87.0 has wheels for Python 3.11 on x86-64 Linux only"


def complaint(version, system, machine, libc):
    """Returns None where the pinned list installs, else one line that says what is wrong and what to do."""
    if version[:2] != (3, 11):
        return (
            "This is Python %d.%d, but Python 3.11 is needed (%s). Install it, or call: make PYTHON=/path/to/python3.11"
            % (
                version[0],
                version[1],
                WHEELS,
            )
        )
    if (system, machine.lower()) not in (("Linux", "x86_64"), ("Linux", "amd64")):
        return "This machine is %s on %s: %s. Here only the device side works: pip install '.[litert]'" % (
            system,
            machine,
            WHEELS,
        )
    if libc[0] != "glibc" or tuple(int(part) for part in libc[1].split(".")[:2]) < (2, 31):
        return (
            "This system's C library is %s %s: TensorFlow Federated's wheel needs glibc 2.31 or newer (Debian 11)."
            % libc
        )
    return None


if __name__ == "__main__":
    found = complaint(tuple(sys.version_info), platform.system(), platform.machine(), platform.libc_ver())
    if found:
        sys.stderr.write("error: " + found + "\n")
        sys.exit(1)

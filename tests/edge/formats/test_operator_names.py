"""The names of operators, against the schema that ai-edge-litert brings."""

from ai_edge_litert import schema_py_generated as schema

from edge.formats.operator_names import OPERATOR_NAMES, operator_name


def test_names_are_the_schemas():
    numbers = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    assert [operator_name(number) for number in sorted(numbers)] == [numbers[number] for number in sorted(numbers)]
    assert len(OPERATOR_NAMES) == len(numbers)
    assert operator_name(len(OPERATOR_NAMES)) == f"operator {len(OPERATOR_NAMES)}"
    assert operator_name(-1) == "operator -1"

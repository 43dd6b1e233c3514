"""What the tests of containers put into sessions."""

from hypothesis import strategies as st

KEYS = st.sampled_from(['a', 'b', 'c', 'd'])
VALUES = st.recursive(
    st.sampled_from([0, 1, True, None, 'x']),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(KEYS, values, max_size=2)
    ),
    max_leaves=6,
)
DATA = st.dictionaries(KEYS, VALUES, max_size=3)


class Box:
    """An object that only pickle can store."""

    def __init__(self, content):
        self.content = content

    def __eq__(self, other):
        return type(other) is Box and other.content == self.content

    __hash__ = None


def extend(value):
    """Add something to all dicts and lists in a value."""
    if isinstance(value, dict):
        for child in value.values():
            extend(child)
        value['more'] = [1]
    elif isinstance(value, list):
        for child in value:
            extend(child)
        value.append({'more': 1})

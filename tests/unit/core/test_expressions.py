import pytest

from headrace.core.expressions import paths_read


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('kind == "note"', ["kind"]),
        ("page.text.size() > 0", ["page.text"]),
        ("size(page . text) > 0", ["page.text"]),
        ("has(a.b) && a.c[0].d == 1", ["a.b", "a.c"]),
        ("a.b == 1 && a == c", ["a", "c"]),
        ("'it\\'s a.b' == c // d", ["c"]),
        ('r"a\\" == k.l', ["k.l"]),
        ('"""x "y" z.z""" == w', ["w"]),
        ("1e5 > n && 0x1F == m", ["n", "m"]),
        ("a in [true, false, null]", ["a"]),
        ("tags.exists(x, x.a == y.b) && x == 1", ["tags", "y.b", "x"]),
        ("a[0].exists(z, z == q)", ["a", "q"]),
        ("a.all(x, x.all(y, (y) == x.z && z)) && y", ["a", "z", "y"]),
        ("a.map(b.c, 1)", ["a", "b.c"]),
        ("true", []),
    ],
)
def test_the_paths_of_an_expression_are_found(text, paths):
    assert list(paths_read(text)) == paths

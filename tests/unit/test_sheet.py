"""Tables of text are read as spreadsheets save them, and refused in one line with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontalbench.errors import BadInput
from frontalbench.files import sheet

PLAIN = "File,Photo\nx.png,a.jpg\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", " | "),
        "\ufeff" + PLAIN,
        "sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
        "\n\n FILE , Photo \n\n x.png , a.jpg \n\n",
        '"file","photo"\n"x.png","a.jpg"\n',
        "file,photo,,\nx.png,a.jpg,,\n",
        "file,photo\rx.png,a.jpg\r",
    ],
)
def test_what_spreadsheets_save_is_one_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8", newline="")
    rows = [row.cells for row in sheet.read(tmp_path / "t.csv", ["file", "photo"])]
    assert rows == [{"file": "x.png", "photo": "a.jpg"}]


def test_names_may_hold_the_separator_in_quotes_and_line_breaks_and_lines_are_counted_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('\nfile;photo\n\n"a;b.png";"two\nlines"\nshort\n', encoding="utf-8")
    found = list(sheet.read(tmp_path / "t.csv", ["file"]))
    assert [(row.line, row.cells) for row in found] == [
        (5, {"file": "a;b.png", "photo": "two\nlines"}),
        (6, {"file": "short", "photo": ""}),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1: nothing there; expected the columns file, photo"),
        (b"file,foto\nx,y\n", "line 1: column 'photo' is missing; expected file, photo; it has, by commas: file, foto"),
        (b"file;foto\nx;y\n", "by semicolons: file, foto"),
        (b"file,photo,photo\nx,y,z\n", "column 'photo' stands there 2 times"),
        (b"file,photo\nx,a,b.jpg\n", "line 2: 3 cells, the header names 2; put names with commas in quotes"),
        (b"file,photo\na,1.png,\n", "line 2: 3 cells, the header names 2"),
        (b"file,photo,,\nx,a.jpg,,\na,1.png,b.jpg,\n", "line 3: 4 cells, the header names 2"),
        (b'file,photo\nx,"a"b\n', "line 2: not readable as CSV"),
        ("file,photo\n".encode("utf-16"), r"not UTF-8 text \(UTF-16\); save it as CSV in UTF-8"),
        (b"file,photo\nx,b\xe4r.jpg\n", r"not UTF-8 text \(byte 14\)"),
    ],
)
def test_what_is_no_such_table_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(BadInput, match=said) as caught:
        list(sheet.read(tmp_path / "t.csv", ["file", "photo"]))
    assert "\n" not in str(caught.value)

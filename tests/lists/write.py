"""Writes spreadsheets for tests: write.py FOLDER GROUP... openpyxl and XlsxWriter write them, independently of Scrip.

Files that these two refuse to write, such as damaged ones and bombs, are made by replacing parts of written ones.
"""

import datetime
import io
import sys
import zipfile
from pathlib import Path

import openpyxl
import xlsxwriter

MIB = 1024 * 1024
folder = Path(sys.argv[1])


def book(name, rows, title="Sheet1"):
    """Writes a workbook with one sheet with openpyxl, omitting None. Returns it, so that it can be changed and saved again."""
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = title
    for number, row in enumerate(rows, 1):
        for column, value in enumerate(row, 1):
            if value is not None:
                sheet.cell(number, column, value)
    workbook.save(folder / name)
    return workbook


def text(cell, value):
    """Sets a text that would otherwise be a formula."""
    cell.value = value
    cell.data_type = "s"


def patched(name, source, changes):
    """Copies a spreadsheet and changes some of its parts, each by a function of its bytes."""
    changes = dict(changes)
    with zipfile.ZipFile(folder / source) as old, zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            new.writestr(part, changes.pop(part, lambda content: content)(old.read(part)))
    assert not changes, changes


def codes():
    workbook = book(
        "codes.xlsx",
        [
            ["Player", "Promo Code"],
            [1, "0012"],
            [2, "219E01BE"],
            [3, "  spaced  "],
            [4, 12345678901],
            [5, None],
            [6, 7],
            [7, "spring-1"],
            [8, "SPRING-1"],
            [9, "=SPRING"],
            [10, None],
            [11, "no good"],
            [12, 12345],
        ],
    )
    sheet = workbook.active
    sheet["B7"].number_format = "0000"
    text(sheet["B10"], "=SPRING")
    text(sheet["B11"], "Б&<_x005F_x0041_>")
    sheet["B13"].number_format = "#,##0"
    # A hidden row is still in the file.
    sheet.row_dimensions[9].hidden = True
    workbook.save(folder / "codes.xlsx")


def sheets():
    workbook = book("sheets.xlsx", [["HIDDEN-1"]], "Old")
    workbook.active.sheet_state = "hidden"
    workbook.create_sheet("Empty")["A1"].number_format = "0000"
    chart = workbook.create_chartsheet("Chart")
    chart.add_chart(openpyxl.chart.BarChart())
    autumn = workbook.create_sheet("It's autumn")
    autumn["C3"] = "AUTUMN-1"
    autumn.merge_cells("C4:C6")
    autumn["C4"] = "AUTUMN-2"
    autumn["C7"] = "AUTUMN-3"
    workbook.create_sheet("Winter").append(["WINTER-1"])
    workbook.save(folder / "sheets.xlsx")
    book("empty.xlsx", [])


def refused():
    """Spreadsheets with one sheet, whose cell B3 cannot be a code."""
    head = [["name", "code"], ["first", "GOOD-1"]]
    book("date.xlsx", head + [["second", datetime.date(2026, 2, 1)]])
    book("truth.xlsx", head + [["second", True]])
    book("error.xlsx", head + [["second", "#N/A"]])
    book("formula.xlsx", head + [["second", '="GOOD-"&2']])
    book("long.xlsx", head + [["second", 12345678901234567]])
    workbook = book("power.xlsx", head + [["second", 2190]])
    workbook.active["B3"].number_format = "0.00E+00"
    workbook.save(folder / "power.xlsx")


def columns():
    book("columns.xlsx", [["Name", "Number", None, "When"], ["first", 1001, None, "today"], ["second", 1002, None, "today"]])
    book("twice.xlsx", [["code", "Code"], ["A-1", "B-1"]])
    book("bare.xlsx", [["BARE-1"], [None], ["BARE-2"]])


def written():
    """The same from another writer: inline texts, formulas with values, dates."""
    workbook = xlsxwriter.Workbook(folder / "written.xlsx", {"constant_memory": True})
    sheet = workbook.add_worksheet("List")
    padded = workbook.add_format({"num_format": "00000"})
    sheet.write_string("A1", "CODE")
    sheet.write_string("A2", "0012")
    sheet.write_number("A3", 12, padded)
    sheet.write_number("A4", 123456789012345)
    sheet.write_formula("A5", '="FORMULA-"&1', None, "FORMULA-1")
    sheet.write_blank("A6", None, padded)
    sheet.write_rich_string("A7", "RICH", workbook.add_format({"bold": True}), "-1")
    workbook.close()
    workbook = xlsxwriter.Workbook(folder / "zero.xlsx")
    sheet = workbook.add_worksheet()
    sheet.write_string("A1", "ZERO-1")
    sheet.write_formula("A2", '="ZERO-"&2')
    workbook.close()
    workbook = xlsxwriter.Workbook(folder / "day.xlsx")
    sheet = workbook.add_worksheet()
    sheet.write_datetime("A1", datetime.datetime(2026, 2, 1), workbook.add_format({"num_format": "d-mmm"}))
    workbook.close()


def bulk():
    """The maximum number of codes of a campaign."""
    workbook = xlsxwriter.Workbook(folder / "fifty_thousand.xlsx")
    sheet = workbook.add_worksheet()
    for row in range(50_000):
        sheet.write_string(row, 0, f"BULK-{row:05}")
    workbook.close()


def good():
    """The file that is damaged: a header and two codes."""
    workbook = xlsxwriter.Workbook(folder / "good.xlsx")
    sheet = workbook.add_worksheet()
    for row, value in enumerate(("code", "GOOD-1", "GOOD-2")):
        sheet.write_string(row, 0, value)
    workbook.close()


def damaged():
    good()
    sheet, relations = "xl/worksheets/sheet1.xml", "xl/_rels/workbook.xml.rels"
    patched("cut_sheet.xlsx", "good.xlsx", {sheet: lambda content: content[: content.index(b'<row r="3"') + 20]})
    patched("no_sheet.xlsx", "good.xlsx", {relations: lambda content: content.replace(b"sheet1.xml", b"sheet9.xml")})
    patched("no_text.xlsx", "good.xlsx", {sheet: lambda content: content.replace(b"<v>2</v>", b"<v>7</v>")})
    patched("order.xlsx", "good.xlsx", {sheet: lambda content: content.replace(b'r="3"', b'r="2"').replace(b"A3", b"A2")})
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("codes.txt", "CODE-1\n")
    with zipfile.ZipFile(folder / "document.docx", "w") as archive:
        main = '<Relationship Id="1" Type="x/officeDocument" Target="word/document.xml"/>'
        archive.writestr("_rels/.rels", f"<Relationships>{main}</Relationships>")
        archive.writestr("word/_rels/document.xml.rels", "<Relationships/>")
        archive.writestr("word/document.xml", "<document/>")
    with zipfile.ZipFile(folder / "calc.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")


def bombs():
    """Small files that unpack to large ones: a table of texts, an empty sheet, one text."""
    good()
    sheet, strings = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
    many = {
        "texts": (strings, b"</sst>", b"<si><t>B</t></si>", 200 * MIB),
        "blanks": (sheet, b"</sheetData>", b'<row r="9"></row>', 600 * MIB),
        "one_text": (strings, b"GOOD-1", b"G", 100 * MIB),
        "depth": (sheet, b"</sheetData>", b"<a>", 30 * MIB),
    }
    for name, (part, before, piece, size) in many.items():
        filled = lambda content: content.replace(before, piece * (size // len(piece)) + before)
        patched(f"bomb_of_{name}.xlsx", "good.xlsx", {part: filled})
    # The same, with a table of texts that claims to unpack to a few bytes.
    bomb = (folder / "bomb_of_texts.xlsx").read_bytes()
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        size = archive.getinfo(strings).file_size
    (folder / "bomb_that_lies.xlsx").write_bytes(bomb.replace(size.to_bytes(4, "little"), (500).to_bytes(4, "little")))


GROUPS = {group.__name__: group for group in (codes, sheets, refused, columns, written, bulk, good, damaged, bombs)}
for group in sys.argv[2:]:
    GROUPS[group]()

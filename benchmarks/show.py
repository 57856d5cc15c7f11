"""The outcome of benchmarks for people: tables in the terminal, and Markdown with charts for `docs/performance.md`."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table as Grid

from benchmarks.part import Chart, Part, Table


def show(part: Part) -> None:
    """Print every table of a part. In a terminal that is too narrow, lines break, but no figure is cut."""
    for table in part.tables:
        grid = Grid(
            title=table.title, title_justify="left", caption=table.note or None, caption_justify="left"
        )
        widths = [
            max(map(len, [*column.split(), *cells]))
            for column, *cells in zip(table.columns, *table.rows, strict=True)
        ]
        for place, (column, width) in enumerate(zip(table.columns, widths, strict=True)):
            grid.add_column(column, justify="right" if place else "left", width=width)
        for row in table.rows:
            grid.add_row(*row)
        borders = 3 * len(widths) + 1
        Console(width=max(Console().width, sum(widths) + borders)).print(grid)


def markdown(parts: Mapping[str, Part]) -> str:
    """Everything measured in one run, as one section of a page."""
    return "\n\n".join(_table(table) for part in parts.values() for table in part.tables)


def _table(table: Table) -> str:
    lines = [f"#### {table.title}", ""]
    if table.note:
        lines += [table.note, ""]
    lines.append("| " + " | ".join(table.columns) + " |")
    lines.append("| --- |" + " ---: |" * (len(table.columns) - 1))
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines) + (f"\n\n{_chart(table.chart)}" if table.chart else "")


def _chart(chart: Chart) -> str:
    """A Mermaid chart: drawn by whoever shows the page, and readable where nobody does."""
    labels = ", ".join(f'"{label}"' for label in chart.bars)
    values = ", ".join(f"{value:.4g}" for value in chart.bars.values())
    return (
        f'```mermaid\nxychart-beta\n    title "{chart.title}"\n    x-axis [{labels}]\n'
        f'    y-axis "{chart.unit}"\n    bar [{values}]\n```'
    )

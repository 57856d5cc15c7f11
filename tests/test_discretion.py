"""What an error may say when it leaves a task or a flow."""

import ast
import traceback
from collections.abc import Callable
from pathlib import Path
from sqlite3 import OperationalError as SqliteError

import pytest
import sqlalchemy as sa
from prefect import flow
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError

from amends.discretion import Withheld, discreetly
from amends.store.tickets import TicketProblem
from tasks.chunks import chunk_task
from tests.conftest import ROOT

PHONE, MAIL, NAME, SECRET = "0938123456", "mai@example.com", "Lê Thị Tuyết Mai", "hunter2"


class Form(BaseModel):
    stars: int
    phone: str


def looks_up_a_name() -> None:
    people: dict[str, int] = {}
    people[NAME] += 1


def parses_a_number() -> None:
    int(f"{PHONE} {SECRET}")


def reads_a_form() -> None:
    Form.model_validate({"stars": NAME, "phone": None})


def asks_the_database_for_nonsense() -> None:
    with sa.create_engine("sqlite://").begin() as tx:
        tx.execute(sa.select(sa.literal_column(f"'{SECRET} {NAME}'")).select_from(sa.table("nowhere")))


def fails_in_company() -> None:
    raise ExceptionGroup(NAME, [ValueError(PHONE)])


def fails_while_failing() -> None:
    try:
        looks_up_a_name()
    except KeyError:
        raise TicketProblem("AM000001 is not open") from None


def explains_with_a_cause() -> None:
    try:
        parses_a_number()
    except ValueError as error:
        raise TicketProblem(f"the phone {PHONE} of {MAIL} is on postgresql://amends:{SECRET}@db/x") from error


def loses_the_database() -> None:
    try:
        looks_up_a_name()
    except KeyError:
        driver = SqliteError("database is locked")
        driver.sqlite_errorcode = 5
        raise OperationalError("SELECT 1", None, driver) from driver


def has_a_note() -> None:
    error = RuntimeError("x")
    error.add_note(f"while at {PHONE} {NAME}")
    raise error


async def told_by(fails: Callable[[], None]) -> Exception:
    @discreetly
    async def step() -> None:
        fails()

    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it may be
        await step()
    return caught.value


FAILURES = [
    looks_up_a_name,
    parses_a_number,
    reads_a_form,
    asks_the_database_for_nonsense,
    fails_in_company,
    fails_while_failing,
    explains_with_a_cause,
    loses_the_database,
    has_a_note,
]


@pytest.mark.parametrize("fails", FAILURES)
async def test_no_error_tells_anything_private(fails: Callable[[], None]) -> None:
    error = await told_by(fails)
    told = "".join(traceback.format_exception(error)) + f"{error!r} {error.__cause__!r} {error.__context__!r}"
    assert not [private for private in (PHONE, PHONE[1:], MAIL, NAME, SECRET) if private in told]


async def test_an_unforeseen_error_names_its_kind_and_its_place() -> None:
    told = str(await told_by(parses_a_number))
    assert told.startswith("builtins.ValueError in tests/test_discretion.py, line ")
    assert "its text is withheld" in told


async def test_of_a_form_the_fields_are_named() -> None:
    assert "(stars: int_parsing, phone: string_type)" in str(await told_by(reads_a_form))


async def test_errors_of_our_own_keep_their_words_and_their_kind() -> None:
    assert str(await told_by(fails_while_failing)) == "AM000001 is not open"
    error = await told_by(explains_with_a_cause)
    assert isinstance(error, TicketProblem)
    assert str(error) == "the phone 84938***456 of m***@example.com is on postgresql://***"


async def test_trouble_of_the_database_keeps_its_kind_so_that_the_chunk_is_tried_again() -> None:
    error = await told_by(loses_the_database)
    assert isinstance(error, OperationalError)
    assert error.__context__ is None


async def test_what_prefect_is_told_of_a_chunk_and_of_a_flow(prefect_api: str) -> None:
    @chunk_task("fails")
    async def chunk() -> None:
        parses_a_number()

    @flow
    @discreetly
    async def journey() -> None:
        await chunk()

    state = await journey(return_state=True)
    assert state.is_failed()
    assert state.message is not None
    assert "builtins.ValueError in tests/test_discretion.py" in state.message
    assert PHONE not in state.message
    assert isinstance(await state.aresult(raise_on_failure=False), Withheld)


def undiscreet(source: str) -> list[str]:
    """The functions of a module that Prefect runs as they are: decorated, and not with `discreetly` underneath."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
        and any("flow" in (said := ast.unparse(each)) or "task" in said for each in node.decorator_list)
        and "discreetly" not in (last := ast.unparse(node.decorator_list[-1]))
        and not last.startswith("chunk_task(")
    ]


MAKERS = {"chunks.py", "verify.py", "complaint.py", "rating_arrived.py"}


def test_every_task_and_flow_is_discreet() -> None:
    files = [path for folder in ("tasks", "flows", "desk", "cli") for path in (ROOT / folder).rglob("*.py")]
    assert {path.name: undiscreet(path.read_text("utf-8")) for path in files if _bare(path)} == {}
    assert {path.name for path in files if _makes(path)} == MAKERS


def test_a_bare_flow_would_be_noticed() -> None:
    assert undiscreet("@flow(name='x')\nasync def sweep(): ...") == ["sweep"]
    assert undiscreet("@flow(name='x')\n@discreetly\nasync def sweep(): ...") == []


def _bare(path: Path) -> bool:
    return bool(undiscreet(path.read_text("utf-8")))


def _makes(path: Path) -> bool:
    tree = ast.parse(path.read_text("utf-8"))
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "prefect"
        and any(name.name in ("flow", "task") for name in node.names)
        for node in ast.walk(tree)
    )

"""Who is let in, and what becomes of tickets that are dropped."""

import threading

from pyramid_mysql_session.connection.gate import Gate


def test_so_many_are_let_in_and_no_more():
    gate = Gate(2)
    first, second = gate.enter(0), gate.enter(0)

    assert None not in (first, second)
    assert gate.enter(0.01) is None
    gate.leave(first)
    assert gate.enter(0) is first


def test_dropped_ticket_is_made_anew_and_only_once():
    gate = Gate(2)
    held, dropped = gate.enter(0), gate.enter(0)

    del dropped
    found = gate.enter(0.01)

    assert found is not None
    assert gate.enter(0.01) is None
    gate.leave(held)
    gate.leave(found)
    assert gate.enter(0) is held
    assert gate.enter(0) is found


def test_whoever_waits_is_let_in_as_soon_as_somebody_leaves():
    gate = Gate(1)
    ticket = gate.enter(0)
    found = []
    thread = threading.Thread(target=lambda: found.append(gate.enter(30)))
    thread.start()

    gate.leave(ticket)
    thread.join()

    assert found == [ticket]

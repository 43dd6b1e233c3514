"""The processes of the soak test."""

from __future__ import annotations

import contextlib
import multiprocessing

from tests.faults import soak_worker

THREADS = 3
SLOTS = 2 * ['lasting', 'mortal', 'moving', 'wild']
# longer than any wait of the product's
PATIENCE = 120


class Crew:
    """
    Processes that send random requests to the same few sessions.

    A context manager; they run for as long as the block does.

    :param ways: for each process a pair: the settings of its session
        factory, and whether it gets a pool passed in.
    """

    def __init__(self, ways):
        # a forked child would have the threads' locks, not the threads
        self._context = multiprocessing.get_context('spawn')
        self._slots = [soak_worker.Slot(self._context, fate) for fate in SLOTS]
        self._ways = ways
        self._started = []
        self._seconds = 0

    def __enter__(self):
        for number, way in enumerate(self._ways):
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=soak_worker.serve,
                args=(theirs, number, self._slots, *way),
            )
            process.start()
            self._started.append((process, ours))
        for _, connection in self._started:
            self._receive(connection)
        return self

    def __exit__(self, *exc_info):
        for process, connection in self._started:
            with contextlib.suppress(OSError):
                connection.send(None)
            process.join(30)
            process.kill()
            process.join()
            connection.close()

    def start(self, seconds):
        """Start a round, without any session; it lasts so many seconds."""
        self._seconds = seconds
        for slot in self._slots:
            slot.write('', '', slot.read()[1])
        for _, connection in self._started:
            connection.send((THREADS, seconds))

    def results(self):
        """Wait for the end of the round: its operations, and figures."""
        answers = [
            self._receive(connection) for _, connection in self._started
        ]
        operations = [o for found, _ in answers for o in found]
        return operations, [figures for _, figures in answers]

    def _receive(self, connection):
        assert connection.poll(self._seconds + PATIENCE), 'a worker hangs'
        return connection.recv()

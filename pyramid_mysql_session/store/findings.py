"""Collects what a check of the table finds."""

from __future__ import annotations

from ..errors import SchemaError


class Findings:
    """
    What is wrong with a table, and what mends it.

    :param table: the quoted name of the table.
    """

    def __init__(self, table: str) -> None:
        self.table = table
        self._deviations: list[str] = []
        self._changes: list[str] = []
        self._advice: list[str] = []
        self._warnings: list[tuple[str, str | None]] = []

    def wrong(
        self,
        deviation: str,
        change: str | None = None,
        advice: str | None = None,
    ) -> None:
        """
        Note what would make a statement fail.

        :param change: the clause of ALTER TABLE that mends it.
        :param advice: what to do where no statement may mend it.
        """
        self._deviations.append(deviation)
        if change and change not in self._changes:
            self._changes.append(change)
        if advice and advice not in self._advice:
            self._advice.append(advice)

    def also(self, change: str) -> None:
        """Note a clause without which another one would fail."""
        self._changes.append(change)

    def poor(self, warning: str, change: str | None = None) -> None:
        """Note what is of harm although no statement fails."""
        self._warnings.append((warning, change))

    def raise_if_wrong(self) -> None:
        """
        Raise what was found if a statement would fail.

        :raises pyramid_mysql_session.SchemaError: lists every deviation.
        """
        if not self._deviations:
            return
        remedy = list(self._advice)
        if self._changes:
            # one statement, for each may rewrite the whole table
            changes = self._changes + [
                change for _, change in self._warnings if change
            ]
            remedy.insert(0, self._alter(changes))
        raise SchemaError(self.table, self._deviations, ' '.join(remedy))

    def warnings(self) -> list[str]:
        """Return the warnings, with the statement that mends each."""
        return [
            f'{warning} {self._alter([change])}' if change else warning
            for warning, change in self._warnings
        ]

    def _alter(self, changes: list[str]) -> str:
        return f'ALTER TABLE {self.table} {", ".join(changes)};'

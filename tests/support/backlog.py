"""What a queue has to do, in memory."""

from collections.abc import Collection, Sequence
from typing import NamedTuple


class Task(NamedTuple):
    app_id: str
    name: str


class Backlog:
    """Tasks named by an app's letter and whatever follows; each waits until it is done, or given up."""

    def __init__(self, *names: str) -> None:
        self.tasks: list[Task] = []
        self.failures: list[str] = []
        self.add(*names)

    def add(self, *names: str) -> None:
        self.tasks += [Task(name[0], name) for name in names]

    def done(self, task: Task) -> None:
        self.tasks.remove(task)

    def due(self, besides: Collection[Task], after: str) -> Sequence[Task]:
        tasks = [task for task in list(self.tasks) if task not in besides]
        return sorted(tasks, key=lambda task: (task.app_id <= after, task.app_id))

    def put_off(self, task: Task, delays: Sequence[float], reason: str) -> None:
        self.failures.append(task.name)
        if self.failures.count(task.name) > len(delays):
            self.done(task)

    def waiting(self) -> int:
        return len(self.tasks)

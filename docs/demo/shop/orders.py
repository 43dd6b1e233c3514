"""Gives orders to docs/demo/stage.py, which runs the private server."""

import json
import socket
from typing import Any

# the first switch makes a second server
PATIENCE = 90


def give(address: str, order: str) -> dict[str, Any]:
    """
    Have an order carried out; return how things are then.

    :raises OSError: nobody takes orders there.
    """
    with socket.socket(socket.AF_UNIX) as stage:
        stage.settimeout(PATIENCE)
        stage.connect(address)
        stage.sendall(order.encode('ascii') + b'\n')
        with stage.makefile('rb') as answer:
            line = answer.readline()
    if not line:
        raise ConnectionError('the stage has hung up')
    state: dict[str, Any] = json.loads(line)
    return state

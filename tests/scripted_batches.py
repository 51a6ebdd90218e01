"""A Message Batches API in which anything can go wrong, for `ScriptedServer`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.scripted_server import Reply, Request, refusal


class BatchApi:
    """Its batches end as soon as they are looked at. Tests override what is to go wrong."""

    def __init__(self) -> None:
        self.base_url = ""
        self.batches: dict[str, list[str]] = {}  # custom ids by batch
        self.ended: set[str] = set()
        self.creations = 0  # asked for

    def __call__(self, request: Request) -> Reply:
        steps = request.path.partition("?")[0].split("/")
        match steps[4:]:
            case [] if request.method == "POST":
                self.creations += 1
                return self.create([entry["custom_id"] for entry in request.body["requests"]])
            case []:
                return self.list()
            case [batch]:
                return self.look(batch)
            case [batch, "cancel"]:
                return self.cancel(batch)
            case [batch, "results"]:
                return Reply(body=self.results(batch))
        raise ValueError(request.path)

    def create(self, custom_ids: list[str]) -> Reply:
        batch = f"msgbatch_{len(self.batches)}"
        self.batches[batch] = custom_ids
        return self.shown(batch)

    def list(self) -> Reply:
        shown = [json.loads(self.shown(batch).body) for batch in reversed(self.batches)]
        body = {"data": shown, "has_more": False, "first_id": None, "last_id": None}
        return Reply(headers={"content-type": "application/json"}, body=json.dumps(body).encode())

    def look(self, batch: str) -> Reply:
        self.ended.add(batch)
        return self.shown(batch)

    def cancel(self, batch: str) -> Reply:
        self.ended.add(batch)
        return self.shown(batch)

    def results(self, batch: str) -> bytes:
        return b"".join(map(answer, self.batches[batch]))

    def shown(self, batch: str) -> Reply:
        now = datetime.now(UTC).isoformat()
        counts = {"processing": 0, "succeeded": len(self.batches[batch]), "errored": 0, "canceled": 0, "expired": 0}
        place = f"{self.base_url}/v1/messages/batches/{batch}/results"
        shown: dict[str, Any] = {
            "id": batch,
            "type": "message_batch",
            "request_counts": counts,
            "created_at": now,
            "expires_at": now,
        }
        has_ended = batch in self.ended
        status = {"processing_status": "ended" if has_ended else "in_progress", "ended_at": now if has_ended else None}
        shown |= status | {"results_url": place if has_ended else None, "archived_at": None}
        return Reply(headers={"content-type": "application/json"}, body=json.dumps(shown).encode())


def answer(custom_id: str, text: str = "\\boxed{4}") -> bytes:
    """A line of results, with its line feed; what is not ASCII is written as it is."""
    message = {"id": "m", "model": "claude-haiku-4-5", "content": [{"type": "text", "text": text}],
               "usage": {"input_tokens": 9, "output_tokens": 2}}  # fmt: skip
    row = {"custom_id": custom_id, "result": {"type": "succeeded", "message": message}}
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def has_no_batches(request: Request) -> Reply:
    """What servers answer that have Messages and no batches."""
    return refusal(404, "not_found_error", "Not Found")

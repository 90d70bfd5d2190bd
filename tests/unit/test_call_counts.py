"""The counter of AWS calls counts those of the lean client, each once."""

import pytest

from benchmarks.counting import count_calls
from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.client_choice import ClientChoice
from tests.support.lean_clients import CALLS, outcome
from tests.support.scripted_http import answering, http_answer, scripted_server

PUBLISHED = (
    "<PublishBatchResponse><PublishBatchResult><Successful/><Failed/></PublishBatchResult>"
    "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"
)


@pytest.mark.parametrize("choice", ["lean", "stock"])
async def test_each_call_is_counted_once(choice: ClientChoice) -> None:
    """Whether it succeeds, fails, or is one that the lean client leaves to the stock client."""
    success = http_answer("200 OK", PUBLISHED)
    failure = http_answer("503 Service Unavailable", "")
    with count_calls() as counts:
        async with scripted_server(answering(success)) as server:
            aws = Aws("us-east-1", server.url, choice)
            async with sns(aws) as topics, sqs(aws) as queues:
                await topics.publish_batch(**CALLS["publish_batch"][1])
                server.behave = answering(failure)
                await outcome(topics, "publish_batch", CALLS["publish_batch"][1])
                await outcome(queues, "receive_message", CALLS["receive_message"][1])
                await outcome(queues, "get_queue_url", {"QueueName": "q"})
            assert len(server.requests) == 4
    assert counts.aws == {"PublishBatch": 2, "ReceiveMessage": 1, "GetQueueUrl": 1}

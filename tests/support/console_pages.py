"""The pages of the console on the crowded system: what each shows, its states, and what it may cost."""

# What the main part of each page contains for somebody whose browser runs no scripts.
WITHOUT_SCRIPTS = {
    "/": "order",
    "/dead-letters": "archive",
    "/dead-letters?service=archive": "10,000",
    "/dead-letters/archive/messages": "group-",
    "/dead-letters/archive/message?id=e-7": "The handler failed",
    "/dead-letters?status=pending": "No message waits to run again",
    "/outbox": "billing",
    "/outbox/billing-relay": "held-1",
    "/outbox/billing-relay/group?subject=held-1": "InvalidParameter",
    "/outbox/billing-relay/replay": "Message group",
    "/tail": "Steps",
    "/find": "Find",
    "/relays": "billing-relay",
    "/catalog": "order.placed",
}
# The most calls of one process that each page makes.
BOUNDS = {
    "/": 4,
    "/dead-letters": 2,
    "/dead-letters?service=archive": 2,
    "/dead-letters/archive/messages": 1,
    "/dead-letters/archive/messages?group=group-7": 1,
    "/dead-letters/archive/message?id=e-7": 1,
    "/outbox": 1,
    "/outbox/billing-relay": 3,
    "/outbox/billing-relay/group?subject=held-1": 2,
    "/tail": 2,
    "/find": 2,
    # One more than the overview, which may have read the held groups long ago.
    "/relays": 5,
    "/catalog": 2,
}
# Of the console, the services and their databases together, for one page.
MOST_PROCESSOR_SECONDS = 0.3
# Every template in a state that is short: axe looks at each element.
STATES = {
    "/": "order",
    "/dead-letters": "archive",
    "/dead-letters/archive/messages?group=group-7": "group-7",
    "/dead-letters/archive/messages?group=none": "No message matches",
    "/dead-letters/archive/message?id=e-7": "The handler failed",
    "/dead-letters?status=pending": "No message waits to run again",
    "/dead-letters/archive/message/reveal?id=e-7": "Show the payload",
    "/dead-letters/archive/redrive?event_id=e-7&per_second=10": "Redrive 1 dead letter",
    "/dead-letters/archive/changes/discard?event_id=e-7": "cannot be undone",
    "/outbox": "billing",
    "/outbox/billing-relay?cursor=held-998": "held-999",
    "/outbox/billing-relay/group?subject=held-1": "InvalidParameter",
    "/outbox/billing-relay/replay": "Message group",
    "/outbox/billing-relay/sending/pause": "Pause",
    "/find": "Find",
    "/relays": "billing-relay",
    "/catalog": "order.placed",
    "/tail?type=order.placed": "Steps",
    "/nothing": "does not exist",
}
# Dark colours are the same tokens on every page, so that these show all of them.
IN_THE_DARK = ("/", "/dead-letters", "/outbox/billing-relay?cursor=held-998", "/relays")
# Their names of services, events and groups are the same in every language.
IN_KOREAN = ("/", "/dead-letters/archive/messages?group=group-7", "/relays")

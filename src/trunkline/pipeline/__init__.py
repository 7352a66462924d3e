"""What happens to a model request, from its body to the last byte of its answer.

``request`` is what came: a value that nothing changes. ``active`` is that request while it runs: its attempts
to have it answered, and the response that the client has been sent so far. ``responder`` is the server's end,
to which the response is written. ``pipeline`` is the order of the steps and what follows from a failure,
``candidates`` finds who may answer, ``tries`` is what one request has tried so far. ``cache`` gives the same
answer again to the same request, ``debug_log`` tells a request's way in the log, and ``explain`` tells the
client what was changed in its request. ``unforeseen`` answers what nobody caught.
"""

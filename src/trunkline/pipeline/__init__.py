"""What happens to a model request, from its body to the last byte of its answer.

``request`` is what came, ``attempt`` one try to have it answered, ``response`` what the client has been sent
so far; ``active`` holds the three together while the request runs. ``pipeline`` is the order of the steps and
what follows from a failure. ``charges`` says what an attempt used and cost. ``cache`` gives the same answer
again to the same request.
"""

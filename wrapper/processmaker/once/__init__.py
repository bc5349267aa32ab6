"""Starting a Request once.

Every start with an idempotency key goes through a journal. Without `journal=`, it is the in-memory journal of this
Python process. `start.py` is the algorithm, `lookup.py` finds Requests by their keys, `existing.py` says what is known
of a key's Request, `key.py` checks keys and makes fingerprints. One attempt has four steps:

    reserve   the key in the journal; if another caller holds it, wait for their result, with a bound
    look      for the key at the server, after the reservation and never before it
    send      the start; one atomic step right before its first byte writes "sending" into the journal, and fails if the
              reservation was lost
    record    started as a Request, or certainly not processed (release), or not known

The one condition: the lease, counted from "sending", is longer than the server works on one start plus the lag of its
list. Rules that follow from it:

- The step to "sending" comes right before the first byte: after the queue, DNS, TLS, the token and the proxy. If the
  step takes longer than a quarter of the lease, it is taken again.
- A look is used for two seconds, counted from the arrival of its answer. If it is older when the start is about to be
  sent, and callers of other processes do not share the journal, the key is looked for again. Rows of many are looked
  for again in blocks.
- An owner is one call, or one row of many. Only the owner records. No call waits while it holds a reservation.
- A call that waits for another caller tries again as soon as the journal says something else of the key, and now and
  then meanwhile: each try looks at the server.
- A key is released only if nothing of this attempt has an unknown outcome. Releasing a key that was taken over, or that
  replaces an ended Request, restores what was there before.
- A blocking call never waits for its own thread, such as in a signal handler: it raises at once.
- If the journal names a Request, it is read before it is returned, with the caller's own token. If the server answers
  404, it is read again for `look_again_for` seconds; then it is not known.
- A fingerprint refuses only against a Request that exists. A Request that failed or was canceled raises
  RequestFailed or RequestCanceled, whatever its fingerprint.
- After a lost answer only a Request with this start's own fingerprint, or without one, is taken for what it made.
- An exception that is not of this package comes out as it is if nothing was sent. If the first byte has left, it comes
  out as the cause of a StartOutcomeUnknown, which carries the Request if that is known. Interrupts and cancellations
  (`BaseException`) always come out as they are.
"""

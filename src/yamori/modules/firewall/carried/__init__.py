"""Rules of other firewalls, carried in and out: what can be said is, what cannot is listed with the reason.

Nothing is made wider on the way: a rule that cannot be said exactly is left out, and told.
"""

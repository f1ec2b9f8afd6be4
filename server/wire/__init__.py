"""The Postgres front: any Postgres client asks, and the gateway answers.

An empty Postgres, the shadow, stands behind every session and speaks for itself wherever no
protected table is touched. Only what touches one is taken out of the stream, answered by the
gateway, and bound back into the shadow as a portal of noisy rows.
"""

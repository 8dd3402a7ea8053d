"""The firewall's judgement on paper: what operators write, and the Filter that follows for each card of each VM.

Pure functions. The card of the module comes with its senses and steps; until then nothing here is started.
"""

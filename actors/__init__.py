"""Actor kinds: which decider, codec and effects make an actor. Nothing else; how they run is `actors.runtime`."""

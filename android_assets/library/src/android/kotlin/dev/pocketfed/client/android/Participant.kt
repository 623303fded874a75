package dev.pocketfed.client.android

import dev.pocketfed.client.training.StopSignal

/** One visit to the server: checks in and, where there is a place, does its work. */
public fun interface Participant {
    /**
     * Blocks until the visit is over, and gives it up soon after [stop] is raised. Returns the
     * milliseconds after which the next visit is wanted, or null where nobody named a time.
     */
    public fun participate(stop: StopSignal): Long?
}

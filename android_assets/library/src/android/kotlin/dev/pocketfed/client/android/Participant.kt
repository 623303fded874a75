package dev.pocketfed.client.android

import dev.pocketfed.client.participation.FederatedClient
import dev.pocketfed.client.participation.Participation
import dev.pocketfed.client.training.StopSignal

/** One visit to the server: checks in and, where there is a place, does its work. */
public fun interface Participant {
    /**
     * Blocks until the visit is over, and gives it up soon after [stop] is raised. Returns the
     * milliseconds after which the next visit is wanted, or null where nobody named a time.
     */
    public fun participate(stop: StopSignal): Long?

    /** Called on another thread once the signal is raised, to break off whatever blocks. */
    public fun interrupt() {}
}

/**
 * Visits by [client]. One that could not begin or go on is wanted again in [retryMs]; [observe] is told
 * how each visit ended.
 */
public class ClientParticipant(
    private val client: FederatedClient,
    private val retryMs: Long = RETRY_MS,
    private val observe: (Participation) -> Unit = {},
) : Participant {
    override fun participate(stop: StopSignal): Long? {
        val dueMs = (client.participate(stop).also(observe).nextDueS * MILLIS_PER_S).toLong()
        return if (dueMs > 0) dueMs else retryMs
    }

    override fun interrupt(): Unit = client.interrupt()

    private companion object {
        /** As long as the protocol waits for a server that does not answer. */
        const val RETRY_MS = 15 * 60 * 1000L
        const val MILLIS_PER_S = 1000
    }
}

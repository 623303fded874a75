package dev.pocketfed.client.workmanager

import android.content.Context
import androidx.work.Worker
import androidx.work.WorkerParameters
import dev.pocketfed.client.android.Participant

/**
 * Visits the server when WorkManager finds that the phone may; an app subclasses it and enqueues it with
 * [FederatedWork.enqueue]. The stop signal is raised as soon as WorkManager stops the work, for instance
 * because the phone was taken off its charger.
 */
public abstract class FederatedWorker(context: Context, parameters: WorkerParameters) :
    Worker(context, parameters) {
    private val participant by lazy { participant() }

    /** Who visits; asked once per visit. */
    protected abstract fun participant(): Participant

    final override fun onStopped(): Unit = participant.interrupt()

    final override fun doWork(): Result {
        val nextMs = participant.participate { isStopped }
        if (nextMs != null && !isStopped) FederatedWork.wantNext(this, nextMs)
        return Result.success()
    }
}

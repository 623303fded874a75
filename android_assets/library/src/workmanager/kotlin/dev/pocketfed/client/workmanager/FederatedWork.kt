package dev.pocketfed.client.workmanager

import android.content.Context
import androidx.work.Constraints
import androidx.work.Data
import androidx.work.ExistingPeriodicWorkPolicy
import androidx.work.NetworkType
import androidx.work.Operation
import androidx.work.PeriodicWorkRequest
import androidx.work.WorkManager
import dev.pocketfed.client.android.Visits
import dev.pocketfed.client.protocol.EligibilityRules
import java.util.concurrent.TimeUnit

/** Enqueues visits with WorkManager. */
public object FederatedWork {
    /**
     * Has [worker] visit the server periodically, under a [name] that is unique in the app; work that is
     * enqueued under it already stays as it is. To be called whenever the app starts.
     */
    public fun enqueue(
        context: Context,
        worker: Class<out FederatedWorker>,
        name: String = NAME,
        visits: Visits = Visits(),
    ): Operation = WorkManager.getInstance(context)
        .enqueueUniquePeriodicWork(name, ExistingPeriodicWorkPolicy.KEEP, builder(worker, visits).build())

    /** No more visits under this [name]. */
    public fun cancel(context: Context, name: String = NAME): Operation =
        WorkManager.getInstance(context).cancelUniqueWork(name)

    /** Has the next run of a worker's own periodic work come [afterMs] from now instead of in turn. */
    internal fun wantNext(worker: FederatedWorker, afterMs: Long) {
        val visits = Visits.fromText(checkNotNull(worker.inputData.getString(VISITS)))
        val request = builder(worker.javaClass, visits)
            .setId(worker.id)
            .setNextScheduleTimeOverride(System.currentTimeMillis() + afterMs)
            .build()
        WorkManager.getInstance(worker.applicationContext).updateWork(request).get()
    }

    // No backoff criteria: WorkRequest refuses them beside idleness.
    private fun builder(worker: Class<out FederatedWorker>, visits: Visits) =
        PeriodicWorkRequest.Builder(worker, visits.intervalMs, TimeUnit.MILLISECONDS)
            .setConstraints(constraints(visits.rules))
            .setInputData(Data.Builder().putString(VISITS, visits.toText()).build())

    private fun constraints(rules: EligibilityRules) = Constraints.Builder()
        .setRequiresCharging(rules.charging)
        .setRequiresDeviceIdle(rules.idle)
        .setRequiredNetworkType(if (rules.unmetered) NetworkType.UNMETERED else NetworkType.CONNECTED)
        .setRequiresBatteryNotLow(true)
        .setRequiresStorageNotLow(true)
        .build()

    private const val NAME = "pocketfed"
    private const val VISITS = "visits"
}

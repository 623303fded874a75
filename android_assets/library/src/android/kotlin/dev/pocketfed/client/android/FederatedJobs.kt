package dev.pocketfed.client.android

import android.app.job.JobInfo
import android.app.job.JobParameters
import android.app.job.JobScheduler
import android.content.ComponentName
import android.content.Context
import android.os.Build
import android.os.PersistableBundle

/** Schedules visits with the framework's JobScheduler; an app with WorkManager has no need of it. */
public object FederatedJobs {
    /**
     * Schedules the first visit of [service] under an [id] that is unique in the app, and leaves a
     * visit that is scheduled already as it is; to be called whenever the app starts. Jobs survive a
     * restart of the phone, which takes the permission RECEIVE_BOOT_COMPLETED.
     */
    public fun schedule(
        context: Context,
        service: Class<out FederatedJobService>,
        id: Int,
        visits: Visits = Visits(),
    ) {
        val scheduler = schedulerOf(context)
        if (scheduler.allPendingJobs.any { it.id == id }) return
        scheduler.schedule(job(ComponentName(context, service), id, visits, afterMs = 0))
    }

    /** No more visits under this [id]. */
    public fun cancel(context: Context, id: Int): Unit = schedulerOf(context).cancel(id)

    internal fun scheduleNext(context: Context, parameters: JobParameters, afterMs: Long?) {
        val scheduler = schedulerOf(context)
        val service = ComponentName(context, checkNotNull(parameters.extras.getString(SERVICE)))
        val visits = Visits.fromText(checkNotNull(parameters.extras.getString(VISITS)))
        scheduler.schedule(job(service, parameters.jobId, visits, afterMs ?: visits.intervalMs))
    }

    // No backoff criteria: JobInfo refuses them beside idleness.
    private fun job(service: ComponentName, id: Int, visits: Visits, afterMs: Long): JobInfo {
        val rules = visits.rules
        val network = if (rules.unmetered) JobInfo.NETWORK_TYPE_UNMETERED else JobInfo.NETWORK_TYPE_ANY
        val builder = JobInfo.Builder(id, service)
            .setRequiresCharging(rules.charging)
            .setRequiresDeviceIdle(rules.idle)
            .setRequiredNetworkType(network)
            .setMinimumLatency(afterMs)
            .setPersisted(true)
            .setExtras(extras(service, visits))
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O) {
            builder.setRequiresBatteryNotLow(true).setRequiresStorageNotLow(true)
        }
        return builder.build()
    }

    private fun extras(service: ComponentName, visits: Visits) = PersistableBundle().apply {
        putString(SERVICE, service.className)
        putString(VISITS, visits.toText())
    }

    private fun schedulerOf(context: Context) =
        context.getSystemService(Context.JOB_SCHEDULER_SERVICE) as JobScheduler

    private const val SERVICE = "service"
    private const val VISITS = "visits"
}

package dev.pocketfed.client.android

import android.app.job.JobParameters
import android.app.job.JobService
import java.util.concurrent.atomic.AtomicBoolean

/**
 * Visits the server when JobScheduler finds that the phone may; an app subclasses it, declares it with
 * the permission BIND_JOB_SERVICE, and schedules it with [FederatedJobs.schedule].
 *
 * A visit has a thread of its own. Once it is over, the next one is scheduled for when it is wanted.
 */
public abstract class FederatedJobService : JobService() {
    private var visit: Visit? = null

    /** Who visits; asked once per visit. */
    protected abstract fun participant(): Participant

    final override fun onStartJob(parameters: JobParameters): Boolean {
        visit = Visit(parameters).also { it.start() }
        return true
    }

    /** Raises the stop signal; JobScheduler comes back when the phone may again. */
    final override fun onStopJob(parameters: JobParameters): Boolean {
        visit?.giveUp()
        return true
    }

    private inner class Visit(private val parameters: JobParameters) : Thread("pocketfed") {
        private val isStopped = AtomicBoolean()

        private val participant by lazy { participant() }

        fun giveUp() {
            isStopped.set(true)
            participant.interrupt()
        }

        override fun run() {
            val nextMs = participant.participate(isStopped::get)
            // A job that was stopped is scheduled again by JobScheduler, and no longer ours to finish.
            if (isStopped.get()) return
            jobFinished(parameters, false)
            FederatedJobs.scheduleNext(applicationContext, parameters, nextMs)
        }
    }
}

package dev.pocketfed.client.android

import android.app.Application
import android.app.job.JobInfo
import android.app.job.JobParameters
import android.app.job.JobScheduler
import android.content.Context
import android.net.NetworkCapabilities.NET_CAPABILITY_NOT_METERED
import dev.pocketfed.client.protocol.EligibilityRules
import dev.pocketfed.client.training.StopSignal
import java.util.concurrent.BlockingQueue
import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/** What the service of these tests does on a visit, and who waits for it. */
private var visit: Participant = Participant { null }
private val over: BlockingQueue<Boolean> = LinkedBlockingQueue()

class VisitingService : FederatedJobService() {
    override fun participant(): Participant = object : Participant {
        override fun participate(stop: StopSignal): Long? = try {
            visit.participate(stop)
        } finally {
            over.put(stop.isRaised())
        }

        override fun interrupt() = visit.interrupt()
    }
}

@RunWith(RobolectricTestRunner::class)
class FederatedJobServiceTest {
    private val app: Application = RuntimeEnvironment.getApplication()
    private val scheduler = app.getSystemService(Context.JOB_SCHEDULER_SERVICE) as JobScheduler

    @Before
    fun `nobody has visited`() = over.clear()

    private fun scheduled(visits: Visits = Visits()): JobInfo {
        FederatedJobs.schedule(app, VisitingService::class.java, ID, visits)
        return scheduler.allPendingJobs.single()
    }

    private fun parametersOf(job: JobInfo): JobParameters = JobParameters(
        null, null, job.id, job.extras, null, null, 0, false, false, false, null, null, null,
    )

    /** The next job once one visit that wants to come back [afterMs] later is over. */
    private fun nextJob(afterMs: Long?, visits: Visits): JobInfo {
        visit = Participant { afterMs }
        val job = scheduled(visits)
        scheduler.cancel(ID)
        val service = Robolectric.setupService(VisitingService::class.java)
        assertTrue(service.onStartJob(parametersOf(job)))
        over.poll(WAIT_S, TimeUnit.SECONDS)
        while (scheduler.allPendingJobs.isEmpty()) Thread.sleep(1)
        assertTrue(shadowOf(service).isJobFinished)
        return scheduler.allPendingJobs.single()
    }

    @Test
    fun `a visit waits for charger, idleness, an unmetered network, battery and storage`() {
        val job = scheduled()
        assertTrue(job.isRequireCharging)
        assertTrue(job.isRequireDeviceIdle)
        assertEquals(true, job.requiredNetwork?.hasCapability(NET_CAPABILITY_NOT_METERED))
        assertTrue(job.isRequireBatteryNotLow)
        assertTrue(job.isRequireStorageNotLow)
        assertTrue(job.isPersisted)
        assertFalse(job.isPeriodic)
    }

    @Test
    fun `a visit waits for no more than the rules ask for`() {
        val job = scheduled(Visits(EligibilityRules(charging = false, idle = false, unmetered = false)))
        assertFalse(job.isRequireCharging)
        assertFalse(job.isRequireDeviceIdle)
        assertEquals(false, job.requiredNetwork?.hasCapability(NET_CAPABILITY_NOT_METERED))
    }

    @Test
    @Config(sdk = [23])
    fun `Android 6 is asked for what it knows`() {
        val job = scheduled()
        assertTrue(job.isRequireCharging)
        assertTrue(job.isRequireDeviceIdle)
    }

    @Test
    fun `a visit that is scheduled stays as it is`() {
        scheduled(Visits(EligibilityRules(idle = false)))
        assertFalse(scheduled(Visits()).isRequireDeviceIdle)
    }

    @Test
    fun `a cancelled visit does not come`() {
        scheduled()
        FederatedJobs.cancel(app, ID)
        assertTrue(scheduler.allPendingJobs.isEmpty())
    }

    @Test
    fun `the next visit comes when it is wanted, under the same rules`() {
        val next = nextJob(afterMs = 90_000, Visits(EligibilityRules(idle = false)))
        assertEquals(90_000, next.minLatencyMillis)
        assertTrue(next.isRequireCharging)
        assertFalse(next.isRequireDeviceIdle)
    }

    @Test
    fun `the next visit comes after the interval when nobody names a time`() {
        assertEquals(7_000, nextJob(afterMs = null, Visits(intervalMs = 7_000)).minLatencyMillis)
    }

    @Test
    fun `a job that is stopped raises the signal and is left to the scheduler`() {
        visit = Participant { stop ->
            waitFor(stop)
            1
        }
        val job = scheduled()
        scheduler.cancel(ID)
        val service = Robolectric.setupService(VisitingService::class.java)
        service.onStartJob(parametersOf(job))
        assertTrue(service.onStopJob(parametersOf(job)))
        assertEquals(true, over.poll(WAIT_S, TimeUnit.SECONDS))
        Thread.getAllStackTraces().keys.filter { it.name == "pocketfed" }.forEach { it.join() }
        assertTrue(scheduler.allPendingJobs.isEmpty())
        assertFalse(shadowOf(service).isJobFinished)
    }

    @Test
    fun `a visit that blocks is interrupted`() {
        val broken = CountDownLatch(1)
        visit = object : Participant {
            override fun participate(stop: StopSignal): Long? {
                broken.await()
                return null
            }

            override fun interrupt() = broken.countDown()
        }
        val job = scheduled()
        val service = Robolectric.setupService(VisitingService::class.java)
        service.onStartJob(parametersOf(job))
        service.onStopJob(parametersOf(job))
        assertEquals(true, over.poll(WAIT_S, TimeUnit.SECONDS))
    }

    private fun waitFor(stop: StopSignal) {
        while (!stop.isRaised()) Thread.sleep(1)
    }

    private companion object {
        const val ID = 17
        const val WAIT_S = 10L
    }
}

package dev.pocketfed.client.workmanager

import android.app.Application
import android.content.Context
import android.util.Log
import androidx.work.Configuration
import androidx.work.NetworkType
import androidx.work.WorkInfo
import androidx.work.WorkManager
import androidx.work.WorkerParameters
import androidx.work.testing.SynchronousExecutor
import androidx.work.testing.WorkManagerTestInitHelper
import dev.pocketfed.client.android.Participant
import dev.pocketfed.client.android.Visits
import dev.pocketfed.client.protocol.EligibilityRules
import dev.pocketfed.client.training.StopSignal
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/** What the worker of these tests does on a visit. */
private var visit: Participant = Participant { null }

class VisitingWorker(context: Context, parameters: WorkerParameters) : FederatedWorker(context, parameters) {
    override fun participant(): Participant = visit
}

@RunWith(RobolectricTestRunner::class)
class FederatedWorkTest {
    private val app: Application = RuntimeEnvironment.getApplication()

    @Before
    fun `WorkManager runs`() {
        val configuration = Configuration.Builder()
            .setMinimumLoggingLevel(Log.WARN)
            .setExecutor(Executors.newSingleThreadExecutor())
            .setTaskExecutor(SynchronousExecutor())
            .build()
        WorkManagerTestInitHelper.initializeTestWorkManager(app, configuration)
    }

    private fun enqueued(visits: Visits = Visits()): WorkInfo {
        FederatedWork.enqueue(app, VisitingWorker::class.java, NAME, visits).result.get()
        return works().single()
    }

    private fun works(): List<WorkInfo> = WorkManager.getInstance(app).getWorkInfosForUniqueWork(NAME).get()

    /** Lets the phone have all that the work waits for. */
    private fun meet(work: WorkInfo) {
        val driver = WorkManagerTestInitHelper.getTestDriver(app)!!
        driver.setPeriodDelayMet(work.id)
        driver.setAllConstraintsMet(work.id)
    }

    private fun waitUntil(isSo: () -> Boolean) {
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10)
        while (!isSo()) {
            check(System.nanoTime() < end) { "waited in vain; works: ${works()}" }
            Thread.sleep(5)
        }
    }

    @Test
    fun `work waits for charger, idleness, an unmetered network, battery and storage`() {
        val constraints = enqueued().constraints
        assertTrue(constraints.requiresCharging())
        assertTrue(constraints.requiresDeviceIdle())
        assertEquals(NetworkType.UNMETERED, constraints.requiredNetworkType)
        assertTrue(constraints.requiresBatteryNotLow())
        assertTrue(constraints.requiresStorageNotLow())
    }

    @Test
    fun `work waits for no more than the rules ask for`() {
        val rules = EligibilityRules(charging = false, idle = false, unmetered = false)
        val constraints = enqueued(Visits(rules)).constraints
        assertFalse(constraints.requiresCharging())
        assertFalse(constraints.requiresDeviceIdle())
        assertEquals(NetworkType.CONNECTED, constraints.requiredNetworkType)
    }

    @Test
    fun `work comes back in its interval`() {
        val period = enqueued(Visits(intervalMs = HOUR_MS)).periodicityInfo
        assertEquals(HOUR_MS, period?.repeatIntervalMillis)
    }

    @Test
    fun `work that is enqueued stays as it is`() {
        val first = enqueued(Visits(intervalMs = HOUR_MS))
        val second = enqueued(Visits(intervalMs = 2 * HOUR_MS))
        assertEquals(first.id, second.id)
        assertEquals(HOUR_MS, second.periodicityInfo?.repeatIntervalMillis)
    }

    @Test
    fun `cancelled work does not run`() {
        enqueued()
        FederatedWork.cancel(app, NAME).result.get()
        assertEquals(WorkInfo.State.CANCELLED, works().single().state)
    }

    @Test
    fun `a visit takes place once the phone has what it waits for`() {
        val visited = CountDownLatch(1)
        visit = Participant {
            visited.countDown()
            null
        }
        val work = enqueued()
        assertEquals(1, visited.count)
        meet(work)
        assertTrue(visited.await(10, TimeUnit.SECONDS))
    }

    @Test
    fun `the next run comes when it is wanted, under the same rules`() {
        visit = Participant { 20 * HOUR_MS }
        val work = enqueued(Visits(EligibilityRules(idle = false), HOUR_MS))
        val before = System.currentTimeMillis()
        meet(work)
        waitUntil { works().single().run { state == WorkInfo.State.ENQUEUED && generation > 0 } }
        val next = works().single()
        assertEquals(20.0 * HOUR_MS, (next.nextScheduleTimeMillis - before).toDouble(), 10_000.0)
        assertEquals(work.constraints, next.constraints)
        assertEquals(HOUR_MS, next.periodicityInfo?.repeatIntervalMillis)
    }

    @Test
    fun `work that is stopped raises the signal`() {
        val begun = CountDownLatch(1)
        val raised = CountDownLatch(1)
        visit = Participant { stop: StopSignal ->
            begun.countDown()
            while (!stop.isRaised()) Thread.sleep(1)
            raised.countDown()
            null
        }
        meet(enqueued())
        assertTrue(begun.await(10, TimeUnit.SECONDS))
        FederatedWork.cancel(app, NAME)
        assertTrue(raised.await(10, TimeUnit.SECONDS))
    }

    private companion object {
        const val NAME = "visits"
        const val HOUR_MS = 3_600_000L
    }
}

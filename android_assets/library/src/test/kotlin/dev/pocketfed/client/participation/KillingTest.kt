package dev.pocketfed.client.participation

import java.io.File
import java.util.concurrent.atomic.AtomicInteger
import okhttp3.Interceptor
import okhttp3.OkHttpClient
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir

/** The process ends here: no code of the client may catch it. */
private class Killed : Error()

class KillingTest {
    @TempDir
    lateinit var folder: File

    // Enrol, check in, three downloads, report, upload.
    private val exchanges = 7

    private val marks = listOf(
        Mark.ENROLLED, Mark.ASSIGNED, Mark.DOWNLOADED, Mark.LEARNED, Mark.KEPT, Mark.REPORTED, Mark.UPLOADED, Mark.ENDED,
    )

    @TestFactory
    fun `a phone killed before its request was sent delivers one update`(): List<DynamicTest> =
        (1..exchanges).map { at -> dynamicTest("request $at") { dieAndGoOn("before $at", killing(at, isAnswered = false)) } }

    @TestFactory
    fun `a phone killed before it saw the answer delivers one update`(): List<DynamicTest> =
        (1..exchanges).map { at -> dynamicTest("answer $at") { dieAndGoOn("after $at", killing(at, isAnswered = true)) } }

    @TestFactory
    fun `a phone killed between two steps delivers one update`(): List<DynamicTest> = marks.map { mark ->
        dynamicTest("after $mark") {
            dieAndGoOn("at $mark") { phone -> phone.observe = { if (it.mark == mark) throw Killed() } }
        }
    }

    @TestFactory
    fun `a phone killed twice in a row delivers one update`(): List<DynamicTest> = marks.dropLast(1).map { mark ->
        dynamicTest("after $mark, twice") {
            FakeServer().use { server ->
                val phone = Phone(server, File(folder, "twice $mark"))
                phone.observe = { if (it.mark == mark) throw Killed() }
                assertThrows(Killed::class.java) { phone.participate() }
                runCatching { phone.participate() }
                finish(phone, server)
            }
        }
    }

    private fun killing(at: Int, isAnswered: Boolean): (Phone) -> Unit = { phone ->
        val count = AtomicInteger()
        val killer = Interceptor { chain ->
            val isNow = count.incrementAndGet() == at
            if (isNow && !isAnswered) throw Killed()
            chain.proceed(chain.request()).also { if (isNow) throw Killed() }
        }
        phone.http = OkHttpClient.Builder().addInterceptor(killer).build()
    }

    private fun dieAndGoOn(name: String, arm: (Phone) -> Unit) = FakeServer().use { server ->
        val phone = Phone(server, File(folder, name))
        arm(phone)
        assertThrows(Killed::class.java) { phone.participate() }
        finish(phone, server)
    }

    private fun finish(phone: Phone, server: FakeServer) {
        phone.observe = {}
        phone.http = OkHttpClient()
        val last = phone.participate()
        // Whoever was killed at the very end has nothing left to do.
        assertTrue(last.outcome in setOf(SessionOutcome.ACCEPTED, SessionOutcome.NOT_DUE), "$last")
        assertEquals(listOf(1, 1, 1), listOf(server.accepted, server.places, server.devices))
        assertEquals(1, server.uploads.toSet().size, "every upload has the same bytes")
    }
}

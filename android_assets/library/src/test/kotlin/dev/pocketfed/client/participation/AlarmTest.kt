package dev.pocketfed.client.participation

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class AlarmTest {
    private val drawn = Moment(wallS = 1000.0, elapsedS = 50.0, boot = "a")
    private val alarm = Alarm(drawn, waitS = 100.0)

    @Test
    fun `a wall clock that is moved changes nothing while the phone runs`() {
        assertEquals(70.0, alarm.remainingS(Moment(wallS = 9e9, elapsedS = 80.0, boot = "a")))
        assertEquals(70.0, alarm.remainingS(Moment(wallS = 0.0, elapsedS = 80.0, boot = "a")))
    }

    @Test
    fun `after a new start the wall clock counts`() {
        assertEquals(40.0, alarm.remainingS(Moment(wallS = 1060.0, elapsedS = 5.0, boot = "b")))
    }

    @Test
    fun `a wall clock that was set back costs the wait again and no more`() {
        val started = Moment(wallS = 10.0, elapsedS = 5.0, boot = "b")
        val carried = alarm.carriedTo(started)
        assertEquals(100.0, carried.remainingS(started))
        assertEquals(0.0, carried.remainingS(Moment(wallS = 10.0, elapsedS = 105.0, boot = "b")))
    }

    @Test
    fun `a phone that does not name its starts is known to run on by its elapsed time`() {
        val unnamed = Alarm(drawn.copy(boot = ""), waitS = 100.0)
        assertEquals(70.0, unnamed.remainingS(Moment(wallS = 0.0, elapsedS = 80.0, boot = "")))
        assertEquals(40.0, unnamed.remainingS(Moment(wallS = 1060.0, elapsedS = 5.0, boot = "")))
    }
}

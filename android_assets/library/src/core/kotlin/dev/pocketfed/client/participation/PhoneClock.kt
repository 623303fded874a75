package dev.pocketfed.client.participation

import dev.pocketfed.client.Stopped
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/** The phone's time, in seconds. */
public interface PhoneClock {
    /** Since 1970; people and networks move it. */
    public fun wallS(): Double

    /** Since the phone was started, sleep included; nobody moves it. */
    public fun elapsedS(): Double

    /** Names the run of the phone in which [elapsedS] counts; empty where that is not known. */
    public fun boot(): String

    /** Waits; throws Stopped when the thread is interrupted. */
    public fun sleep(seconds: Double)
}

/** The clocks of a Java virtual machine, whose elapsed time begins anew with each process. */
public class MachineClock : PhoneClock {
    override fun wallS(): Double = System.currentTimeMillis() / MILLIS_PER_S

    override fun elapsedS(): Double = System.nanoTime() / NANOS_PER_S

    override fun boot(): String = PROCESS

    override fun sleep(seconds: Double): Unit = try {
        Thread.sleep((seconds * MILLIS_PER_S).toLong())
    } catch (_: InterruptedException) {
        Thread.currentThread().interrupt()
        throw Stopped("the thread was interrupted while it waited")
    }

    private companion object {
        const val MILLIS_PER_S = 1e3
        const val NANOS_PER_S = 1e9
        val PROCESS = newKey()
    }
}

/** An instant by both clocks. */
@Serializable
internal data class Moment(
    @SerialName("wall_s") val wallS: Double,
    @SerialName("elapsed_s") val elapsedS: Double,
    val boot: String,
) {
    /** Seconds from here to [later]: by the clock that nobody moves, if it still runs. */
    fun until(later: Moment): Double {
        val isSameRun = boot == later.boot && later.elapsedS >= elapsedS
        return if (isSameRun) later.elapsedS - elapsedS else (later.wallS - wallS).coerceAtLeast(0.0)
    }
}

internal fun PhoneClock.now(): Moment = Moment(wallS(), elapsedS(), boot())

/** Due [waitS] seconds after [drawn]. */
@Serializable
internal data class Alarm(val drawn: Moment, @SerialName("wait_s") val waitS: Double) {
    fun remainingS(now: Moment): Double = (waitS - drawn.until(now)).coerceIn(0.0, waitS.coerceAtLeast(0.0))

    /** The same alarm by the clock of another run of the phone, whose wall clock may be moved from now on. */
    fun carriedTo(now: Moment): Alarm = if (drawn.boot == now.boot) this else Alarm(now, remainingS(now))
}

package dev.pocketfed.client.android

import android.content.ContentResolver
import android.content.Context
import android.os.Build
import android.os.SystemClock
import android.provider.Settings
import dev.pocketfed.client.participation.MachineClock
import dev.pocketfed.client.participation.PhoneClock

/** The clocks of a phone, whose elapsed time goes on from process to process until it restarts. */
public class AndroidClock(context: Context) : PhoneClock {
    private val settings: ContentResolver = context.applicationContext.contentResolver
    private val machine = MachineClock()

    override fun wallS(): Double = machine.wallS()

    override fun elapsedS(): Double = SystemClock.elapsedRealtime() / MILLIS_PER_S

    /** Android 6 does not count its starts: there each process is a run of its own. */
    override fun boot(): String =
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.N) machine.boot()
        else Settings.Global.getInt(settings, Settings.Global.BOOT_COUNT, 0).toString()

    override fun sleep(seconds: Double): Unit = machine.sleep(seconds)

    private companion object {
        const val MILLIS_PER_S = 1e3
    }
}

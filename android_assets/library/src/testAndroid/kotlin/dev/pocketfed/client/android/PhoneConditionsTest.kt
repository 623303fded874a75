package dev.pocketfed.client.android

import android.app.Application
import android.content.Context
import android.content.Intent
import android.os.BatteryManager
import android.os.SystemClock
import android.provider.Settings
import dev.pocketfed.client.participation.Condition
import dev.pocketfed.client.protocol.EligibilityRules
import java.time.Duration
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowSystemClock

@RunWith(RobolectricTestRunner::class)
class PhoneConditionsTest {
    private val app: Application = RuntimeEnvironment.getApplication()
    private val onlyCharging = EligibilityRules(charging = true, idle = false, unmetered = false)
    private val nothing = EligibilityRules(charging = false, idle = false, unmetered = false)

    private fun charge(isCharging: Boolean) =
        shadowOf(app.getSystemService(Context.BATTERY_SERVICE) as BatteryManager).setIsCharging(isCharging)

    @Test
    fun `what rules ask for is missing under its own name`() {
        charge(false)
        assertEquals(setOf(Condition.CHARGING), PhoneConditions(app).missing(onlyCharging))
    }

    @Test
    fun `what no rule names is missing all the same`() {
        @Suppress("DEPRECATION")
        app.sendStickyBroadcast(Intent(Intent.ACTION_DEVICE_STORAGE_LOW))
        assertEquals(setOf(Condition.STORAGE_NOT_LOW), PhoneConditions(app).missing(nothing))
    }

    @Test
    fun `an answer holds for a second`() {
        charge(true)
        val conditions = PhoneConditions(app)
        assertEquals(emptySet<Condition>(), conditions.missing(onlyCharging))
        charge(false)
        assertEquals(emptySet<Condition>(), conditions.missing(onlyCharging))
        ShadowSystemClock.advanceBy(Duration.ofSeconds(1))
        assertEquals(setOf(Condition.CHARGING), conditions.missing(onlyCharging))
    }

    @Test
    fun `an answer holds for no other rules`() {
        charge(false)
        val conditions = PhoneConditions(app)
        assertEquals(emptySet<Condition>(), conditions.missing(nothing))
        assertEquals(setOf(Condition.CHARGING), conditions.missing(onlyCharging))
    }

    @Test
    fun `a phone's clock runs from its start, which it counts`() {
        Settings.Global.putInt(app.contentResolver, Settings.Global.BOOT_COUNT, 41)
        val clock = AndroidClock(app)
        assertEquals("41", clock.boot())
        assertEquals(SystemClock.elapsedRealtime() / 1e3, clock.elapsedS(), 0.0)
    }

    @Test
    @Config(sdk = [23])
    fun `Android 6 does not count its starts, so a process stands for one`() {
        assertNotEquals("0", AndroidClock(app).boot())
        assertEquals(AndroidClock(app).boot(), AndroidClock(app).boot())
    }
}

package dev.pocketfed.client.android

import android.app.Application
import android.content.Context
import android.content.Intent
import android.net.ConnectivityManager
import android.net.NetworkCapabilities
import android.os.BatteryManager
import android.os.PowerManager
import dev.pocketfed.client.participation.Condition
import dev.pocketfed.client.protocol.EligibilityRules
import org.junit.Assert.assertEquals
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.Implementation
import org.robolectric.annotation.Implements
import org.robolectric.shadows.ShadowNetworkCapabilities
import org.robolectric.shadows.ShadowPowerManager

/** A phone whose forecast is the heat at which severe throttling begins. */
@Implements(PowerManager::class)
class NearlyThrottled : ShadowPowerManager() {
    @Implementation
    @Suppress("UNUSED_PARAMETER")
    fun getThermalHeadroom(forecastSeconds: Int): Float = 1.0f
}

@RunWith(RobolectricTestRunner::class)
class EligibilityTest {
    private val app: Application = RuntimeEnvironment.getApplication()
    private val power = app.getSystemService(Context.POWER_SERVICE) as PowerManager
    private val network = ShadowNetworkCapabilities.newInstance()

    /** A phone at night: on its charger, its screen off, at home. */
    @Before
    fun `everything is there`() {
        shadowOf(app.getSystemService(Context.BATTERY_SERVICE) as BatteryManager).setIsCharging(true)
        shadowOf(power).turnScreenOn(false)
        shadowOf(network).addCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
        shadowOf(network).addCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED)
        val networks = app.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager
        shadowOf(networks).setNetworkCapabilities(networks.activeNetwork, network)
    }

    private fun missing(rules: EligibilityRules = EligibilityRules()) = Eligibility(app).missing(rules)

    @Test
    @Config(sdk = [23, 28, 35])
    fun `a phone on its charger at home with its screen off lacks nothing`() {
        assertEquals(emptySet<Condition>(), missing())
    }

    @Test
    fun `a phone off its charger lacks charging, unless the rules do without`() {
        shadowOf(app.getSystemService(Context.BATTERY_SERVICE) as BatteryManager).setIsCharging(false)
        assertEquals(setOf(Condition.CHARGING), missing())
        assertEquals(emptySet<Condition>(), missing(EligibilityRules(charging = false)))
    }

    @Test
    fun `a phone whose screen is on lacks idleness, unless the rules do without`() {
        shadowOf(power).turnScreenOn(true)
        assertEquals(setOf(Condition.IDLE), missing())
        assertEquals(emptySet<Condition>(), missing(EligibilityRules(idle = false)))
    }

    @Test
    fun `a phone whose network is metered lacks an unmetered one, unless the rules do without`() {
        shadowOf(network).removeCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED)
        assertEquals(setOf(Condition.UNMETERED), missing())
        assertEquals(emptySet<Condition>(), missing(EligibilityRules(unmetered = false)))
    }

    @Test
    fun `a phone without a network lacks an unmetered one`() {
        shadowOf(app.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager)
            .setDefaultNetworkActive(false)
        shadowOf(network).removeCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
        assertEquals(setOf(Condition.UNMETERED), missing())
    }

    @Test
    fun `what the system calls a low battery is missing`() {
        val low = Intent(Intent.ACTION_BATTERY_CHANGED).putExtra(BatteryManager.EXTRA_BATTERY_LOW, true)
        @Suppress("DEPRECATION")
        app.sendStickyBroadcast(low)
        assertEquals(setOf(Condition.BATTERY_NOT_LOW), missing())
    }

    @Test
    @Config(sdk = [23])
    fun `before Android 9 a battery is low from where the system warns`() {
        fun at(percent: Int) {
            val level = Intent(Intent.ACTION_BATTERY_CHANGED)
                .putExtra(BatteryManager.EXTRA_LEVEL, percent * 2)
                .putExtra(BatteryManager.EXTRA_SCALE, 200)
            @Suppress("DEPRECATION")
            app.sendStickyBroadcast(level)
        }
        at(15)
        assertEquals(setOf(Condition.BATTERY_NOT_LOW), missing())
        at(16)
        assertEquals(emptySet<Condition>(), missing())
    }

    @Test
    fun `storage that the system calls low is missing`() {
        @Suppress("DEPRECATION")
        app.sendStickyBroadcast(Intent(Intent.ACTION_DEVICE_STORAGE_LOW))
        assertEquals(setOf(Condition.STORAGE_NOT_LOW), missing())
    }

    @Test
    fun `a throttled phone lacks coolness`() {
        shadowOf(power).setCurrentThermalStatus(PowerManager.THERMAL_STATUS_MODERATE)
        assertEquals(setOf(Condition.COOL), missing())
    }

    @Test
    @Config(shadows = [NearlyThrottled::class])
    fun `a phone that is about to be throttled lacks coolness`() {
        assertEquals(setOf(Condition.COOL), missing())
    }
}

package dev.pocketfed.client.android

import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.net.ConnectivityManager
import android.net.NetworkCapabilities
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import androidx.annotation.RequiresApi
import dev.pocketfed.client.participation.Condition
import dev.pocketfed.client.participation.Conditions
import dev.pocketfed.client.protocol.EligibilityRules

/** Tells what this phone lacks, by the framework's own services. */
public class Eligibility(context: Context) : Conditions {
    private val app = context.applicationContext
    private val battery = app.getSystemService(Context.BATTERY_SERVICE) as BatteryManager
    private val power = app.getSystemService(Context.POWER_SERVICE) as PowerManager
    private val networks = app.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager

    /** What is missing under [rules]; a low battery, full storage and heat count under any. */
    override fun missing(rules: EligibilityRules): Set<Condition> = wanted(rules).filterNot(::holds).toSet()

    private fun wanted(rules: EligibilityRules): List<Condition> = listOfNotNull(
        Condition.CHARGING.takeIf { rules.charging },
        Condition.IDLE.takeIf { rules.idle },
        Condition.UNMETERED.takeIf { rules.unmetered },
        Condition.BATTERY_NOT_LOW,
        Condition.STORAGE_NOT_LOW,
        Condition.COOL,
    )

    private fun holds(condition: Condition): Boolean = when (condition) {
        Condition.CHARGING -> battery.isCharging
        Condition.IDLE -> !power.isInteractive
        Condition.UNMETERED -> isUnmetered()
        Condition.BATTERY_NOT_LOW -> !isBatteryLow()
        Condition.STORAGE_NOT_LOW -> !isStorageLow()
        Condition.COOL -> isCool()
        Condition.OTHER -> true
    }

    private fun isUnmetered(): Boolean {
        val offers = networks.getNetworkCapabilities(networks.activeNetwork) ?: return false
        return offers.hasCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET) &&
            offers.hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED)
    }

    private fun isBatteryLow(): Boolean {
        val state = sticky(Intent.ACTION_BATTERY_CHANGED) ?: return false
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.P) {
            return state.getBooleanExtra(BatteryManager.EXTRA_BATTERY_LOW, false)
        }
        val scale = state.getIntExtra(BatteryManager.EXTRA_SCALE, FULL_PERCENT)
        val percent = FULL_PERCENT * state.getIntExtra(BatteryManager.EXTRA_LEVEL, scale) / scale
        return percent <= LOW_BATTERY_PERCENT
    }

    // Deprecated for receivers in manifests; WorkManager's own constraint asks the same.
    @Suppress("DEPRECATION")
    private fun isStorageLow(): Boolean = sticky(Intent.ACTION_DEVICE_STORAGE_LOW) != null

    private fun isCool(): Boolean {
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q && isThrottled()) return false
        return Build.VERSION.SDK_INT < Build.VERSION_CODES.R || !isAboutToBeThrottled()
    }

    @RequiresApi(Build.VERSION_CODES.Q)
    private fun isThrottled(): Boolean = power.currentThermalStatus >= PowerManager.THERMAL_STATUS_MODERATE

    // A phone that cannot tell says NaN, which is not above any limit.
    @RequiresApi(Build.VERSION_CODES.R)
    private fun isAboutToBeThrottled(): Boolean = power.getThermalHeadroom(FORECAST_S) >= SEVERE_HEADROOM

    private fun sticky(action: String): Intent? = app.registerReceiver(null, IntentFilter(action))

    private companion object {
        const val FULL_PERCENT = 100

        /** `config_lowBatteryWarningLevel` of Android, which apps cannot read. */
        const val LOW_BATTERY_PERCENT = 15
        const val FORECAST_S = 10

        /** Where PowerManager.getThermalHeadroom puts severe throttling. */
        const val SEVERE_HEADROOM = 1.0f
    }
}

package dev.pocketfed.page

import android.app.Application
import android.content.Context
import android.content.ContextWrapper
import android.content.res.AssetManager
import android.net.ConnectivityManager
import android.net.NetworkCapabilities
import android.os.BatteryManager
import android.os.PowerManager
import android.util.Log
import androidx.work.Configuration
import androidx.work.WorkInfo
import androidx.work.WorkManager
import androidx.work.testing.SynchronousExecutor
import androidx.work.testing.WorkManagerTestInitHelper
import java.io.File
import java.util.concurrent.Executors
import java.util.zip.CRC32
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowNetworkCapabilities

/**
 * Installs [app] with these [assets] and starts it, as Android does: the context comes first, then what
 * WorkManager's own provider sets up, then `onCreate`.
 */
internal class Installed(private val app: Application, assets: File) {
    private val phone = RuntimeEnvironment.getApplication()
    private val packed = packed(assets)

    init {
        attach()
        val configuration = Configuration.Builder()
            .setMinimumLoggingLevel(Log.WARN)
            .setExecutor(Executors.newSingleThreadExecutor())
            .setTaskExecutor(SynchronousExecutor())
            .build()
        WorkManagerTestInitHelper.initializeTestWorkManager(app, configuration)
        app.onCreate()
    }

    private fun attach() {
        val base = object : ContextWrapper(phone) {
            override fun getApplicationContext(): Context = app

            override fun getAssets(): AssetManager = packed
        }
        ContextWrapper::class.java.getDeclaredMethod("attachBaseContext", Context::class.java)
            .apply { isAccessible = true }.invoke(app, base)
    }

    /** Night: on its charger, its screen off, at home. WorkManager begins what waited for that. */
    fun atNight() {
        shadowOf(phone.getSystemService(Context.BATTERY_SERVICE) as BatteryManager).setIsCharging(true)
        shadowOf(phone.getSystemService(Context.POWER_SERVICE) as PowerManager).turnScreenOn(false)
        val network = ShadowNetworkCapabilities.newInstance()
        shadowOf(network).addCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
        shadowOf(network).addCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED)
        val networks = phone.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager
        shadowOf(networks).setNetworkCapabilities(networks.activeNetwork, network)
        WorkManagerTestInitHelper.getTestDriver(app)!!.setAllConstraintsMet(work().id)
    }

    /** Whether a visit is over, and the next one enqueued. */
    fun hasVisited(): Boolean = work().run { state == WorkInfo.State.ENQUEUED && generation > 0 }

    private fun work(): WorkInfo = WorkManager.getInstance(app).getWorkInfosForUniqueWork("pocketfed").get().single()

    /** The [assets] in an APK that compresses nothing. */
    private fun packed(assets: File): AssetManager {
        val apk = File.createTempFile("app", ".apk")
        ZipOutputStream(apk.outputStream()).use { zip ->
            assets.walk().filter { it.isFile }.forEach { zip.add("assets/${it.relativeTo(assets)}", it.readBytes()) }
        }
        val manager = AssetManager::class.java.getDeclaredConstructor().newInstance()
        AssetManager::class.java.getMethod("addAssetPath", String::class.java).invoke(manager, apk.path)
        return manager
    }

    private fun ZipOutputStream.add(name: String, body: ByteArray) {
        val entry = ZipEntry(name).apply {
            method = ZipEntry.STORED
            size = body.size.toLong()
            crc = CRC32().apply { update(body) }.value
        }
        putNextEntry(entry)
        write(body)
    }
}

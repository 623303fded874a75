package dev.pocketfed.sample

import android.app.Application
import dev.pocketfed.client.android.ClientParticipant
import dev.pocketfed.client.android.LiteRtRuntime
import dev.pocketfed.client.android.Participant
import dev.pocketfed.client.android.phoneSurroundings
import dev.pocketfed.client.participation.ClientConfig
import dev.pocketfed.client.participation.FederatedClient
import dev.pocketfed.client.participation.Participation
import dev.pocketfed.client.participation.WireEncoder
import dev.pocketfed.client.training.ExampleLog
import dev.pocketfed.client.training.Trainer
import dev.pocketfed.client.workmanager.FederatedWork
import java.io.File

/** An app that learns handwritten digits with others, from what is drawn in it. */
class SampleApp : Application() {
    /** What was drawn, on this phone and nowhere else. */
    val digits: ExampleLog by lazy { ExampleLog(File(noBackupFilesDir, "digits"), MAX_DIGITS) }

    /** How the last visit to the server ended; null before the first. */
    val lastVisit: String?
        get() = notes().getString(LAST_VISIT, null)

    /** When the next visit may take place, by the phone's clock in milliseconds since 1970. */
    val nextVisitMs: Long
        get() = notes().getLong(NEXT_VISIT, 0)

    val participant: Participant by lazy { ClientParticipant(client, observe = ::remember) }

    private val client by lazy {
        val learner = Trainer(digits, LiteRtRuntime.opener(), File(noBackupFilesDir, "training"))
        val config = ClientConfig(SERVER, POPULATION, clientVersion = "sample 0.1.0")
        FederatedClient(config, File(noBackupFilesDir, "client"), learner, WireEncoder(), phoneSurroundings(this))
    }

    override fun onCreate() {
        super.onCreate()
        FederatedWork.enqueue(this, DigitsWorker::class.java)
    }

    private fun remember(visit: Participation) {
        val nextMs = System.currentTimeMillis() + (visit.nextDueS * MILLIS_PER_S).toLong()
        notes().edit()
            .putString(LAST_VISIT, "${visit.outcome}: ${visit.detail}")
            .putLong(NEXT_VISIT, nextMs)
            .apply()
    }

    private fun notes() = getSharedPreferences("visits", MODE_PRIVATE)

    companion object {
        /** `pocketfed serve` on the machine that runs the emulator. */
        const val SERVER = "http://10.0.2.2:8080"
        const val POPULATION = "digits"
        private const val MAX_DIGITS = 1000
        private const val LAST_VISIT = "last"
        private const val NEXT_VISIT = "next"
        private const val MILLIS_PER_S = 1000
    }
}

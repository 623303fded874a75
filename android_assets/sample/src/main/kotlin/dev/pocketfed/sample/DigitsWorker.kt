package dev.pocketfed.sample

import android.content.Context
import androidx.work.WorkerParameters
import dev.pocketfed.client.android.Participant
import dev.pocketfed.client.workmanager.FederatedWorker

/** Visits the server for the app. */
class DigitsWorker(context: Context, parameters: WorkerParameters) : FederatedWorker(context, parameters) {
    override fun participant(): Participant = (applicationContext as SampleApp).participant
}

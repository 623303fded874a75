package dev.pocketfed.client.participation

import dev.pocketfed.client.protocol.EligibilityRules
import dev.pocketfed.client.protocol.Plan
import dev.pocketfed.client.protocol.Timeouts
import dev.pocketfed.client.training.Learned
import dev.pocketfed.client.training.Learner
import dev.pocketfed.client.training.Material
import dev.pocketfed.client.training.Measured
import dev.pocketfed.client.training.StopSignal
import java.io.File
import java.nio.ByteBuffer
import kotlin.random.Random
import okhttp3.OkHttpClient

val GO_ON = StopSignal { false }

/** Clocks that move when they are told to, and by whoever sleeps. */
class FakeClock(var wallS: Double = 1e9, var elapsedS: Double = 100.0, var boot: String = "first") : PhoneClock {
    val slept = mutableListOf<Double>()

    override fun wallS() = wallS
    override fun elapsedS() = elapsedS
    override fun boot() = boot
    override fun sleep(seconds: Double) {
        slept += seconds
        wait(seconds)
    }

    fun wait(seconds: Double) {
        wallS += seconds
        elapsedS += seconds
    }
}

/** Learns the same from 12 examples each time; [during] is what happens meanwhile. */
class FixedLearner(private val examples: Int = 12, private val during: (StopSignal) -> Unit = {}) : Learner {
    val keys = mutableListOf<String>()
    var material: Material? = null

    override fun numExamples() = examples

    override fun train(key: String, material: Material, plan: Plan, stop: StopSignal): Learned {
        keys += key
        this.material = material
        during(stop)
        return Learned(floatArrayOf(0.5f, -0.25f), minOf(examples, plan.maxExamples), 0.125)
    }

    override fun evaluate(key: String, material: Material, plan: Plan, stop: StopSignal): Measured {
        keys += key
        during(stop)
        return Measured(examples, mapOf("loss" to 0.5, "accuracy" to Double.NaN))
    }
}

/** Writes floats and, as rounding at random would, a body that is another each time. */
class RandomEncoder(private val random: Random = Random.Default) : DeltaEncoder {
    override val offered = listOf("float32")

    override fun encode(codec: String, manifest: ByteArray, delta: FloatArray): ByteArray {
        val body = ByteBuffer.allocate(delta.size * Float.SIZE_BYTES + Long.SIZE_BYTES)
        delta.forEach(body::putFloat)
        return body.putLong(random.nextLong()).array()
    }
}

/** A phone whose processes all work on one [folder] against one [server]. */
class Phone(private val server: FakeServer, private val folder: File) {
    var clock = FakeClock()
    var conditions = Conditions { emptySet() }
    var attestor: Attestor? = null
    var learner = FixedLearner()
    var http = OkHttpClient()
    var observe: (Event) -> Unit = {}
    var wakesWith = EligibilityRules()
    var bundled = Bundled { null }
    var timeouts = Timeouts(silenceS = 0.3)
    var shelfBytes = 1000L

    /** A new process. */
    fun started(): FederatedClient {
        val config = ClientConfig(
            server.url, "phones", "1.0",
            wakesWith = wakesWith, shelfBytes = shelfBytes, timeouts = timeouts,
        )
        val around = Surroundings(conditions, attestor, bundled, clock, Random(1), http, observe)
        return FederatedClient(config, folder, learner, RandomEncoder(), around)
    }

    fun participate(stop: StopSignal = GO_ON): Participation = started().use { it.participate(stop) }
}

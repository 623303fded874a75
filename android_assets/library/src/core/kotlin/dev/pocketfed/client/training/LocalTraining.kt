package dev.pocketfed.client.training

import dev.pocketfed.client.Stopped
import dev.pocketfed.client.artifact.Manifest
import dev.pocketfed.client.protocol.Plan

/** What one local training is made of. */
internal class Work(
    val manifest: Manifest,
    val plan: Plan,
    val examples: List<Example>,
    val draw: Draw,
    /** SHA-256 of all that decides what comes out. */
    val digest: ByteArray,
)

/** The steps of one local training, from the first or from where it was last saved. */
internal class LocalTraining(
    private val model: OpenModel,
    private val work: Work,
    private val savepoint: Savepoint?,
    private val saveEverySteps: Int,
) {
    private val train = model.port("train")
    private val feed = Feed(train, work.manifest.batchSize, work.manifest.inputScale)
    private val seed = train.inputs["seed"]
    private var steps = 0
    private var lossSum = 0.0

    init {
        train.input("learning_rate").buffer.putFloat(0, work.plan.learningRate)
    }

    /** Trains from the weights [received]; the delta is trained minus received. Throws Stopped or Unfit. */
    fun run(received: FloatArray, stop: StopSignal): Learned {
        val resumed = savepoint?.read(work.digest, received.size)
        model.resetOptimizer()
        model.weights = resumed?.weights ?: received
        repeat(work.plan.epochs) { takePass(resumed, stop) }
        val delta = model.weights
        for (place in delta.indices) delta[place] -= received[place]
        savepoint?.clear()
        return Learned(delta, work.examples.size, lossSum / work.examples.size)
    }

    private fun takePass(resumed: Progress?, stop: StopSignal) {
        lossSum = 0.0
        for (step in work.draw.pass(work.examples.size, work.plan)) {
            if (resumed == null || steps >= resumed.steps) takeStep(step, stop)
            steps++
            if (steps == resumed?.steps) lossSum = resumed.lossSum
            else if (steps % saveEverySteps == 0 && steps > (resumed?.steps ?: 0)) save()
        }
    }

    private fun takeStep(step: Step, stop: StopSignal) {
        if (stop.isRaised()) {
            save()
            throw Stopped("the phone was told to stop after $steps steps; train again under the same key to go on")
        }
        feed.fill(step.places.map(work.examples::get))
        seed?.buffer?.putInt(0, step.seed)
        train.run()
        lossSum += train.output("loss").scalar.toDouble() * step.places.size
    }

    private fun save() {
        if (savepoint != null && steps > 0) savepoint.write(work.digest, Progress(steps, lossSum, model.weights))
    }
}

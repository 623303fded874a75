package dev.pocketfed.client.training

import dev.pocketfed.client.Damaged
import dev.pocketfed.client.Stopped
import dev.pocketfed.client.Unfit
import dev.pocketfed.client.artifact.Manifest
import dev.pocketfed.client.artifact.requireUsable
import dev.pocketfed.client.artifact.unfitPlan
import dev.pocketfed.client.protocol.Plan
import dev.pocketfed.client.wire.Checkpoint
import java.io.File
import java.io.IOException
import java.nio.ByteBuffer
import java.security.MessageDigest

/**
 * Local training and evaluation through the signatures of a model, as `docs/artifact.md` has it.
 *
 * Which examples take part, their order in each pass and the seeds are drawn from the key, so work that
 * goes on after the process died ends at the same bits as undisturbed work. Its progress is kept in the
 * folder [state] every [saveEverySteps] steps and when it is stopped. What an optimizer remembers, and
 * what FedProx was given, cannot be read from a model: one with `reset_optimizer`, or with a `proximal`
 * above 0, starts again from the checkpoint. So does work whose examples, plan or material are others now.
 */
public class Trainer(
    private val examples: ExampleSource,
    private val runtimes: RuntimeOpener,
    state: File,
    private val saveEverySteps: Int = 100,
) : Learner {
    private val savepoint = Savepoint(File(state, "training.state"))

    init {
        require(saveEverySteps >= 1) { "got saveEverySteps $saveEverySteps, expected at least 1; save now and then" }
        require(state.isDirectory || state.mkdirs()) { "$state is no folder and cannot be made one; choose another" }
    }

    override fun numExamples(): Int = examples.open().use { it.count }

    override fun train(key: String, material: Material, plan: Plan, stop: StopSignal): Learned {
        val manifest = Manifest.parse(material.manifest)
        val received = Checkpoint.decode(material.checkpoint, manifest.weightSpec)
        requireFollowable(plan, manifest)
        val draw = Draw(seedOf(key))
        val chosen = chosen(draw, plan)
        val work = Work(manifest, plan, chosen, draw, digestOf(key, material, plan, chosen))
        val kept = savepoint.takeIf { canResume(manifest) }
        return runtimes.open(material.model).use {
            LocalTraining(OpenModel(it, manifest), work, kept, saveEverySteps).run(received, stop)
        }
    }

    override fun evaluate(key: String, material: Material, plan: Plan, stop: StopSignal): Measured {
        val manifest = Manifest.parse(material.manifest)
        val received = Checkpoint.decode(material.checkpoint, manifest.weightSpec)
        plan.requireUsable()
        val chosen = chosen(Draw(seedOf(key)), plan)
        return runtimes.open(material.model).use {
            val model = OpenModel(it, manifest).apply { weights = received }
            measured(model.port("evaluate"), manifest, chosen, stop)
        }
    }

    private fun chosen(draw: Draw, plan: Plan): List<Example> {
        val found = try {
            examples.open().use { store ->
                val places = draw.selection(store.count, plan.maxExamples).toHashSet()
                store.examples().asSequence().filterIndexed { place, _ -> place in places }.toList()
            }
        } catch (error: IOException) {
            val message = "the examples cannot be read (${error.message}); store them again"
            throw Damaged("unreadable_examples", message, error)
        }
        if (found.isEmpty()) throw Unfit("no_examples", "there is no example, expected at least 1; wait for some")
        return found
    }
}

private fun requireFollowable(plan: Plan, manifest: Manifest) {
    plan.requireUsable()
    if (plan.batchSize > manifest.batchSize) {
        throw unfitPlan("got batch_size ${plan.batchSize}, expected at most ${manifest.batchSize}; lower it")
    }
}

private fun canResume(manifest: Manifest): Boolean =
    OpenModel.RESET !in manifest.signatures && manifest.proximal == 0.0

private fun measured(port: Port, manifest: Manifest, examples: List<Example>, stop: StopSignal): Measured {
    val feed = Feed(port, manifest.evaluateBatchSize, manifest.inputScale)
    val names = listOf("loss_sum", "correct_sum", "weight_sum")
    val sums = DoubleArray(names.size)
    for (batch in examples.chunked(manifest.evaluateBatchSize)) {
        if (stop.isRaised()) throw Stopped("the phone was told to stop while it measured; measure again from the start")
        feed.fill(batch)
        port.run()
        names.forEachIndexed { place, name -> sums[place] += port.output(name).scalar.toDouble() }
    }
    val (loss, correct, weight) = sums
    return Measured(examples.size, mapOf("loss" to loss / weight, "accuracy" to correct / weight))
}

private fun seedOf(key: String): Long = ByteBuffer.wrap(newDigest().digest(key.toByteArray())).getLong()

private fun digestOf(key: String, material: Material, plan: Plan, examples: List<Example>): ByteArray {
    val digest = newDigest()
    val parts = sequenceOf(key.toByteArray(), material.manifest, material.checkpoint, plan.toString().toByteArray())
    for (part in parts + examples.asSequence().map(ExampleRecord::encode)) {
        digest.update(ByteBuffer.allocate(Int.SIZE_BYTES).putInt(part.size).array())
        digest.update(part)
    }
    digest.update(material.model.duplicate())
    return digest.digest()
}

private fun newDigest(): MessageDigest = MessageDigest.getInstance("SHA-256")

package dev.pocketfed.client.training

import dev.pocketfed.client.protocol.Plan
import java.nio.ByteBuffer

/** Asked between two steps; true once the phone has to stop at once. */
public fun interface StopSignal {
    public fun isRaised(): Boolean
}

/** What local training made: [delta] is trained minus received, over the whole layout. */
public class Learned(
    public val delta: FloatArray,
    /** Distinct examples trained on, the weight n_k of federated averaging. */
    public val numExamples: Int,
    /** The mean loss over the last pass. */
    public val loss: Double,
)

/** What an evaluation found: [metrics] are means over [numExamples] examples. */
public class Measured(
    public val numExamples: Int,
    public val metrics: Map<String, Double>,
)

/** The bytes that an assignment names, checked: a model, its manifest and the weights to begin from. */
public class Material(
    /** The `.tflite`, mapped or direct. */
    public val model: ByteBuffer,
    /** `manifest.json`. */
    public val manifest: ByteArray,
    /** The body of the checkpoint as it travelled. */
    public val checkpoint: ByteArray,
)

/** Does an assignment's work on this phone's own examples. One thread at a time. */
public interface Learner {
    /** How many examples there are now. */
    public fun numExamples(): Int

    /**
     * Trains by the plan. [key] names the assignment: work that was interrupted under the same key goes
     * on where it was last saved. Throws Stopped, Unfit or Damaged.
     */
    public fun train(key: String, material: Material, plan: Plan, stop: StopSignal): Learned

    /** Measures the checkpoint. Throws Stopped, Unfit or Damaged. */
    public fun evaluate(key: String, material: Material, plan: Plan, stop: StopSignal): Measured
}

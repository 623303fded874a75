package dev.pocketfed.client.protocol

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/** Conditions a phone checks on itself before it trains. */
@Serializable
public data class EligibilityRules(
    public val charging: Boolean = true,
    public val idle: Boolean = true,
    public val unmetered: Boolean = true,
    @SerialName("min_examples") public val minExamples: Int = 1,
)

/**
 * Local training: [epochs] passes of SGD in batches of [batchSize] (E and B of arXiv 1602.05629).
 *
 * [maxExamples] caps how many examples take part in one pass. A phone that meets a field it does not
 * know must not train, so this is the one record that is read strictly.
 */
@Serializable
public data class Plan(
    public val epochs: Int = 1,
    @SerialName("batch_size") public val batchSize: Int = 10,
    @SerialName("learning_rate") public val learningRate: Float = 0.1f,
    @SerialName("max_examples") public val maxExamples: Int = 10_000,
    public val eligibility: EligibilityRules = EligibilityRules(),
)

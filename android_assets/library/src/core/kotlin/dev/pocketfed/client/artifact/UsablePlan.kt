package dev.pocketfed.client.artifact

import dev.pocketfed.client.Unfit
import dev.pocketfed.client.protocol.Plan

/** Throws Unfit (`unfit_plan`) when no phone could train by this plan. */
internal fun Plan.requireUsable() {
    require("epochs", epochs, epochs >= 1)
    require("batch_size", batchSize, batchSize >= 1)
    require("max_examples", maxExamples, maxExamples >= 1)
    require("min_examples", eligibility.minExamples, eligibility.minExamples >= 1)
    if (!(learningRate > 0f && learningRate.isFinite())) {
        throw unfitPlan("got learning_rate $learningRate, expected one above 0; correct the plan")
    }
}

private fun require(field: String, value: Int, isUsable: Boolean) {
    if (!isUsable) throw unfitPlan("got $field $value, expected at least 1; correct the plan")
}

internal fun unfitPlan(message: String): Unfit = Unfit("unfit_plan", message)

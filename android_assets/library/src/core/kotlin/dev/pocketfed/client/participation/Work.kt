package dev.pocketfed.client.participation

import dev.pocketfed.client.Damaged
import dev.pocketfed.client.PocketFedException
import dev.pocketfed.client.Stopped
import dev.pocketfed.client.Unfit
import dev.pocketfed.client.protocol.Assignment
import dev.pocketfed.client.protocol.NOT_ELIGIBLE
import dev.pocketfed.client.protocol.Outcome
import dev.pocketfed.client.protocol.Plan
import dev.pocketfed.client.protocol.Report
import dev.pocketfed.client.protocol.RoundKind
import dev.pocketfed.client.training.Learned
import dev.pocketfed.client.training.Material
import dev.pocketfed.client.training.Measured
import dev.pocketfed.client.training.StopSignal
import dev.pocketfed.client.wire.Digest
import java.nio.ByteBuffer

private const val MAX_METRICS = 16
private const val MAX_METRIC = 1e30
private val METRIC_NAME = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

/** An assignment's work on this phone, from its bytes to a report that is ready to be sent. */
internal class Work(private val parts: Parts, private val requests: Requests, private val stop: StopSignal) {
    /** The report; the body it announces is on storage. Throws StepFailed or Stopped. */
    fun report(assignment: Assignment): Report {
        val plan = step(Step.DOWNLOAD) { followable(assignment) }
        val material = material(assignment)
        parts.observe(Event(Mark.DOWNLOADED, assignment.assignmentId))
        return step(Step.TRAIN) { learned(assignment, material, plan) }
    }

    private fun followable(assignment: Assignment): Plan {
        val plan = assignment.readPlan()
        if (assignment.kind !in KINDS) throw Unfit(NOT_ELIGIBLE, "got a round of the kind ${assignment.kind}, expected $KINDS")
        val missing = parts.conditions.missing(plan.eligibility.and(parts.config.wakesWith))
        if (missing.isNotEmpty()) throw Unfit(NOT_ELIGIBLE, "the plan asks for $missing; wait for that")
        val numExamples = parts.learner.numExamples()
        if (numExamples < plan.eligibility.minExamples) {
            throw Unfit(NOT_ELIGIBLE, "got $numExamples examples, expected ${plan.eligibility.minExamples} at least")
        }
        return plan
    }

    private fun material(assignment: Assignment): Material {
        val needed = listOf(assignment.model, assignment.manifest, assignment.checkpoint)
        val (model, manifest, checkpoint) = needed.map { wanted ->
            step(Step.DOWNLOAD) {
                parts.shelf.take(wanted, needed) { resource, file ->
                    requests.attempt(Step.DOWNLOAD) { it.download(resource, file) }
                }
            }
        }
        return Material(model, bytesOf(manifest), bytesOf(checkpoint))
    }

    private fun learned(assignment: Assignment, material: Material, plan: Plan): Report {
        val began = parts.clock.now()
        val key = assignment.assignmentId
        if (assignment.kind == RoundKind.EVALUATE) {
            val measured = parts.learner.evaluate(key, material, plan, stop)
            parts.observe(Event(Mark.LEARNED, key))
            return measuredReport(measured, began)
        }
        val learned = parts.learner.train(key, material, plan, stop)
        parts.observe(Event(Mark.LEARNED, key))
        val body = parts.encoder.encode(assignment.codec, material.manifest, learned.delta)
        parts.memory.keepUpdate(body)
        return trainedReport(learned, body, began)
    }

    private fun trainedReport(learned: Learned, body: ByteArray, began: Moment) = Report(
        outcome = Outcome.COMPLETED,
        numExamples = learned.numExamples,
        bytes = body.size.toLong(),
        sha256 = Digest.sha256(body),
        loss = learned.loss.takeIf(Double::isFinite),
        trainS = began.until(parts.clock.now()),
    )

    private fun measuredReport(measured: Measured, began: Moment): Report {
        val metrics = measured.metrics.filter { (name, value) -> isSendable(name, value) }.entries.take(MAX_METRICS)
        if (metrics.isEmpty()) throw Damaged("no_metrics", "the evaluation gave no finite metric, expected one at least")
        return Report(
            outcome = Outcome.COMPLETED,
            numExamples = measured.numExamples,
            trainS = began.until(parts.clock.now()),
            metrics = metrics.associate { it.key to it.value },
        )
    }

    /** Runs what makes no request; its errors are the step's. What the app's own code throws is one of them. */
    private fun <T> step(step: Step, act: () -> T): T = try {
        act()
    } catch (error: StepFailed) {
        throw error
    } catch (error: Stopped) {
        throw error
    } catch (error: PocketFedException) {
        throw failed(step, error)
    } catch (error: RuntimeException) {
        throw failed(step, Unfit("app_failed", "the app's own code failed with $error; see its trace", error))
    }

    private fun failed(step: Step, error: PocketFedException): StepFailed =
        StepFailed(step, parts.config.retry.remedy(error, step, parts.config.retry.tries), error)

    internal companion object {
        val KINDS = listOf(RoundKind.TRAIN, RoundKind.EVALUATE)
    }
}

private fun isSendable(name: String, value: Double): Boolean =
    METRIC_NAME.matches(name) && value.isFinite() && value in -MAX_METRIC..MAX_METRIC

private fun bytesOf(buffer: ByteBuffer): ByteArray = ByteArray(buffer.remaining()).also { buffer.duplicate().get(it) }

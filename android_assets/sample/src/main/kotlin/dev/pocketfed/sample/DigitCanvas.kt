package dev.pocketfed.sample

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.PointF
import android.graphics.Rect
import android.view.MotionEvent
import android.view.View

/** Where a digit is drawn with a finger: 28 x 28 grey pixels, white on black, as MNIST has them. */
class DigitCanvas(context: Context) : View(context) {
    private val bitmap = Bitmap.createBitmap(SIDE, SIDE, Bitmap.Config.ARGB_8888)
    private val drawing = Canvas(bitmap)
    private val brush = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.WHITE
        strokeWidth = STROKE
        strokeCap = Paint.Cap.ROUND
    }
    private val shown = Rect()
    private var last = PointF()

    init {
        clear()
    }

    /** The grey values, row by row. */
    fun pixels(): ByteArray {
        val colors = IntArray(SIDE * SIDE)
        bitmap.getPixels(colors, 0, SIDE, 0, 0, SIDE, SIDE)
        return ByteArray(colors.size) { Color.red(colors[it]).toByte() }
    }

    fun clear() {
        drawing.drawColor(Color.BLACK)
        invalidate()
    }

    override fun onMeasure(widthSpec: Int, heightSpec: Int) {
        val side = MeasureSpec.getSize(widthSpec)
        setMeasuredDimension(side, side)
    }

    override fun onDraw(canvas: Canvas) {
        shown.set(0, 0, width, height)
        canvas.drawBitmap(bitmap, null, shown, null)
    }

    override fun onTouchEvent(event: MotionEvent): Boolean {
        val here = PointF(event.x * SIDE / width, event.y * SIDE / height)
        val from = if (event.action == MotionEvent.ACTION_DOWN) here else last
        drawing.drawLine(from.x, from.y, here.x, here.y, brush)
        last = here
        parent.requestDisallowInterceptTouchEvent(true)
        if (event.action == MotionEvent.ACTION_UP) performClick()
        invalidate()
        return true
    }

    override fun performClick(): Boolean {
        super.performClick()
        return true
    }

    private companion object {
        const val SIDE = 28
        const val STROKE = 2.5f
    }
}
